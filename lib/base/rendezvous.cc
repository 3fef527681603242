#include "lib/base/rendezvous.h"

#include <algorithm>
#include <numeric>

#include "lib/base/digest.h"

namespace eagle::base {

std::vector<std::size_t> RendezvousOrder(std::string_view key, std::span<const std::string> nodes) {
  std::vector<Digest> weights;
  weights.reserve(nodes.size());
  for (const std::string& node : nodes) {
    Sha256 hasher;
    hasher.Update(node);
    hasher.Update(std::string_view("\0", 1));
    hasher.Update(key);
    weights.push_back(hasher.Current());
  }
  std::vector<std::size_t> order(nodes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
  return order;
}

}  // namespace eagle::base
