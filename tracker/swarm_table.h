#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/status.h"
#include "tracker/announce_request.h"
#include "tracker/hand_out_policy.h"
#include "tracker/swarm.h"

namespace eagle::tracker {

struct SwarmTableOptions {
  std::chrono::milliseconds min_interval = std::chrono::seconds(5);
  std::chrono::milliseconds max_interval = std::chrono::minutes(5);
  std::chrono::milliseconds peer_timeout = std::chrono::minutes(12);
  std::size_t default_peers = 50;
  std::size_t max_peers = 200;
  std::size_t max_swarms = 100'000;
  std::size_t max_peers_per_swarm = 50'000;
  std::size_t max_total_peers = 2'000'000;
  /// Of the random choice of peers.
  std::uint64_t seed = 0;
};

/// A peer as it is told to others.
struct PeerContact {
  PeerEndpoint endpoint;
  PeerId id{};
};

struct AnnounceResult {
  std::vector<PeerContact> peers;
  SwarmCounts counts;
  /// When the peer is to announce again, and the soonest that it may.
  std::chrono::seconds interval{};
  std::chrono::seconds min_interval{};
  /// False when a limit keeps it from being told to others; it gets peers all the same.
  bool listed = true;
};

struct TableTotals {
  std::size_t swarms = 0;
  std::size_t seeds = 0;
  std::size_t leeches = 0;
};

/// Every swarm that this tracker knows. Memory is O(peers), an announce costs O(peers handed out).
/// Thread-safe: swarms are spread over shards with a lock each.
///
/// The interval is the peer's own: `min_interval` in its first 30 seconds (so also in a young
/// swarm, where everybody must learn of those who come at the same moment), then a sixth of the
/// time that it has been there, up to `max_interval`. A leech that knows fewer than five others
/// stays at `min_interval`.
class SwarmTable {
 public:
  /// `policy` and `clock` must outlive the table.
  SwarmTable(const SwarmTableOptions& options, const HandOutPolicy& policy,
             const base::Clock& clock);
  ~SwarmTable();
  SwarmTable(const SwarmTable&) = delete;
  SwarmTable& operator=(const SwarmTable&) = delete;

  /// Enters, renews or removes the peer at `address` and chooses others for it. RESOURCE_EXHAUSTED
  /// when its swarm is new and `max_swarms` are there.
  absl::StatusOr<AnnounceResult> Announce(const AnnounceRequest& request, const IpAddress& address);

  /// Zeros for a swarm that is not known.
  [[nodiscard]] SwarmCounts Scrape(const InfoHash& info_hash);

  /// Forgets silent peers and empty swarms that nobody asks about. O(swarms), a shard at a time.
  void Sweep();

  /// May be off by what is being changed at the moment.
  [[nodiscard]] TableTotals Totals() const;

 private:
  struct Shard;

  [[nodiscard]] Shard& ShardOf(const InfoHash& info_hash);
  [[nodiscard]] std::chrono::seconds IntervalFor(const Peer& peer, const SwarmCounts& counts,
                                                 base::Clock::TimePoint now) const;
  [[nodiscard]] std::size_t Wanted(const AnnounceRequest& request) const;
  SwarmCounts Leave(Shard& shard, const InfoHash& info_hash, const Peer& leaving,
                    base::Clock::TimePoint now);
  absl::StatusOr<Swarm*> FindOrMake(Shard& shard, const InfoHash& info_hash);
  void DropIfEmpty(Shard& shard, const InfoHash& info_hash);
  [[nodiscard]] bool HasRoomFor(const Swarm& swarm, const PeerEndpoint& endpoint) const;
  void Expire(Swarm& swarm, base::Clock::TimePoint now);
  void Account(const SwarmCounts& before, const SwarmCounts& after);

  const SwarmTableOptions options_;
  const HandOutPolicy& policy_;
  const base::Clock& clock_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::size_t> swarms_{0};
  std::atomic<std::size_t> seeds_{0};
  std::atomic<std::size_t> leeches_{0};
};

}  // namespace eagle::tracker
