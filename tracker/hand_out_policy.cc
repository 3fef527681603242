#include "tracker/hand_out_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace eagle::tracker {
namespace {

// A client may have several endpoints; how many of its own it may draw before the search ends, so
// that one with thousands of them costs no more than others.
constexpr std::size_t kMaxOwnDrawn = 64;

// The numbers from 0 to size - 1 in random order, one at a time: Fisher-Yates, of which only the
// swapped places are kept.
class Shuffle {
 public:
  Shuffle(std::size_t size, std::size_t draws, std::mt19937_64& random)
      : size_(size), random_(random) {
    moved_.reserve(std::min(size, draws));
  }

  [[nodiscard]] bool done() const { return next_ == size_; }

  std::size_t Draw() {
    const std::size_t place = std::uniform_int_distribution<std::size_t>(next_, size_ - 1)(random_);
    const std::size_t drawn = At(place);
    moved_[place] = At(next_);
    ++next_;
    return drawn;
  }

 private:
  [[nodiscard]] std::size_t At(std::size_t place) const {
    const auto found = moved_.find(place);
    return found == moved_.end() ? place : found->second;
  }

  const std::size_t size_;
  std::mt19937_64& random_;
  std::size_t next_ = 0;
  absl::flat_hash_map<std::size_t, std::size_t> moved_;
};

void ChooseOf(const Swarm& swarm, Family family, const Peer& requester, std::size_t wanted,
              std::mt19937_64& random, std::vector<const Peer*>* out) {
  const auto leeches = swarm.pool(family, Role::kLeech);
  const auto seeds = swarm.pool(family, Role::kSeed);
  Shuffle shuffle(leeches.size() + (requester.seed ? 0 : seeds.size()), wanted, random);
  std::size_t own = 0;
  while (out->size() < wanted && !shuffle.done() && own < kMaxOwnDrawn) {
    const std::size_t index = shuffle.Draw();
    const Peer* peer = index < leeches.size() ? leeches[index] : seeds[index - leeches.size()];
    if (peer->endpoint == requester.endpoint || peer->id == requester.id) {
      ++own;
    } else {
      out->push_back(peer);
    }
  }
}

}  // namespace

void RandomPolicy::Choose(const Swarm& swarm, const Peer& requester, std::size_t wanted,
                          std::mt19937_64& random, std::vector<const Peer*>* out) const {
  const std::size_t limit = out->size() + wanted;
  const Family own = FamilyOf(requester);
  ChooseOf(swarm, own, requester, limit, random, out);
  ChooseOf(swarm, own == Family::kV4 ? Family::kV6 : Family::kV4, requester, limit, random, out);
}

absl::StatusOr<std::unique_ptr<HandOutPolicy>> MakeHandOutPolicy(std::string_view name) {
  if (name == "random") return std::make_unique<RandomPolicy>();
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is no policy of handing out peers; use random", name));
}

}  // namespace eagle::tracker
