#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/base/clock.h"
#include "tracker/announce_request.h"
#include "tracker/ip_address.h"

namespace eagle::tracker {

/// Where a peer takes connections. Also its identity within a swarm: nobody can announce another
/// address than its own, so nobody can push out or sign off somebody else.
struct PeerEndpoint {
  IpAddress address;
  std::uint16_t port = 0;

  friend bool operator==(const PeerEndpoint&, const PeerEndpoint&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const PeerEndpoint& endpoint) {
    return H::combine(std::move(state), endpoint.address, endpoint.port);
  }
};

struct Peer {
  PeerEndpoint endpoint;
  PeerId id{};
  /// Fingerprint of `key=`; 0 without.
  std::uint64_t key = 0;
  bool seed = false;
  base::Clock::TimePoint joined{};
  base::Clock::TimePoint last_seen{};
  /// Its place in its pool; the swarm's own.
  std::size_t pool_index = 0;
};

enum class Family { kV4, kV6 };
enum class Role { kLeech, kSeed };

[[nodiscard]] inline Family FamilyOf(const Peer& peer) {
  return peer.endpoint.address.is_v4() ? Family::kV4 : Family::kV6;
}
[[nodiscard]] inline Role RoleOf(const Peer& peer) {
  return peer.seed ? Role::kSeed : Role::kLeech;
}

struct SwarmCounts {
  std::size_t seeds = 0;
  std::size_t leeches = 0;
  /// Downloads that ended while the swarm was known.
  std::size_t completed = 0;

  [[nodiscard]] std::size_t peers() const { return seeds + leeches; }
};

/// The peers that have one torrent. Every operation is O(1) but Expire(), which is O(what it
/// forgets). Not thread-safe.
class Swarm {
 public:
  Swarm() = default;
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;

  /// nullptr when it is not here. Valid until the next change of the swarm.
  [[nodiscard]] const Peer* Find(const PeerEndpoint& endpoint) const;

  /// Enters or renews a peer at `now`. Another peer id on the same endpoint is a client that was
  /// started again: it counts as new. Valid as above.
  const Peer& Announce(const Peer& announced, Event event, base::Clock::TimePoint now);

  /// Takes a peer out that says it stops; ignored unless peer id and key are the ones it came with,
  /// so that the late goodbye of a client's former life does not remove the new one.
  void Leave(const Peer& leaving);

  /// Forgets whoever was last seen at `last_seen` or before.
  void Expire(base::Clock::TimePoint last_seen);

  /// The peers of one kind in no order, for picking some at random. Valid as above.
  [[nodiscard]] std::span<const Peer* const> pool(Family family, Role role) const;
  [[nodiscard]] SwarmCounts counts() const;

 private:
  using Peers = std::list<Peer>;
  using Pool = std::vector<Peer*>;

  [[nodiscard]] Pool& PoolOf(const Peer& peer);
  void AddToPool(Peer& peer);
  void RemoveFromPool(const Peer& peer);

  /// Longest silent first.
  Peers by_age_;
  absl::flat_hash_map<PeerEndpoint, Peers::iterator> by_endpoint_;
  std::array<std::array<Pool, 2>, 2> pools_;
  std::size_t completed_ = 0;
};

}  // namespace eagle::tracker
