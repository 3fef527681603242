#pragma once

#include <cstddef>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "tracker/swarm.h"

namespace eagle::tracker {

/// Which peers an announcing peer is told of. Has no state of its own, so one object serves all
/// swarms and threads.
class HandOutPolicy {
 public:
  virtual ~HandOutPolicy() = default;

  /// Appends at most `wanted` different peers of `swarm` to `out`. Never the requester itself
  /// (which may or may not be in the swarm), and no seeds for a seed, as they have nothing for each
  /// other. Called under the swarm's lock: O(wanted), does not block. The pointers are the swarm's.
  virtual void Choose(const Swarm& swarm, const Peer& requester, std::size_t wanted,
                      std::mt19937_64& random, std::vector<const Peer*>* out) const = 0;
};

/// Uniformly at random; peers of the requester's address family first, since it can surely reach
/// those, and of the other one (BEP 7) for what is then still wanted.
class RandomPolicy final : public HandOutPolicy {
 public:
  void Choose(const Swarm& swarm, const Peer& requester, std::size_t wanted,
              std::mt19937_64& random, std::vector<const Peer*>* out) const override;
};

/// By its name in the configuration ("random").
absl::StatusOr<std::unique_ptr<HandOutPolicy>> MakeHandOutPolicy(std::string_view name);

}  // namespace eagle::tracker
