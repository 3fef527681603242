#include "tracker/swarm_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "lib/base/mutex.h"

namespace eagle::tracker {
namespace {

constexpr std::size_t kShards = 64;
constexpr std::chrono::seconds kYoung{30};
constexpr int kAgePerInterval = 6;
constexpr std::size_t kFewPeers = 5;

std::chrono::seconds InSeconds(std::chrono::milliseconds time) {
  return std::chrono::ceil<std::chrono::seconds>(time);
}

}  // namespace

struct SwarmTable::Shard {
  explicit Shard(std::uint64_t seed) : random(seed) {}

  base::Mutex mutex;
  absl::flat_hash_map<InfoHash, std::unique_ptr<Swarm>> swarms ABSL_GUARDED_BY(mutex);
  std::mt19937_64 random ABSL_GUARDED_BY(mutex);
  std::vector<const Peer*> chosen ABSL_GUARDED_BY(mutex);
};

SwarmTable::SwarmTable(const SwarmTableOptions& options, const HandOutPolicy& policy,
                       const base::Clock& clock)
    : options_(options), policy_(policy), clock_(clock) {
  for (std::size_t i = 0; i < kShards; ++i) {
    shards_.push_back(std::make_unique<Shard>(options.seed + i));
  }
}

SwarmTable::~SwarmTable() = default;

absl::StatusOr<AnnounceResult> SwarmTable::Announce(const AnnounceRequest& request,
                                                    const IpAddress& address) {
  const auto now = clock_.Now();
  Peer requester{.endpoint = {address, request.port},
                 .id = request.peer_id,
                 .key = request.key,
                 .seed = request.seed,
                 .joined = now};
  Shard& shard = ShardOf(request.info_hash);
  AnnounceResult result;
  result.min_interval = InSeconds(options_.min_interval);
  base::MutexLock lock(&shard.mutex);
  if (request.event == Event::kStopped) {
    result.counts = Leave(shard, request.info_hash, requester, now);
    result.interval = InSeconds(options_.max_interval);
    return result;
  }
  EAGLE_ASSIGN_OR_RETURN(Swarm * swarm, FindOrMake(shard, request.info_hash));
  Expire(*swarm, now);
  const SwarmCounts before = swarm->counts();
  result.listed = HasRoomFor(*swarm, requester.endpoint);
  if (result.listed) requester = swarm->Announce(requester, request.event, now);
  result.counts = swarm->counts();
  Account(before, result.counts);
  result.interval =
      result.listed ? IntervalFor(requester, result.counts, now) : InSeconds(options_.max_interval);

  shard.chosen.clear();
  policy_.Choose(*swarm, requester, Wanted(request), shard.random, &shard.chosen);
  result.peers.reserve(shard.chosen.size());
  for (const Peer* peer : shard.chosen) result.peers.push_back({peer->endpoint, peer->id});
  DropIfEmpty(shard, request.info_hash);
  return result;
}

SwarmCounts SwarmTable::Scrape(const InfoHash& info_hash) {
  const auto now = clock_.Now();
  Shard& shard = ShardOf(info_hash);
  base::MutexLock lock(&shard.mutex);
  const auto found = shard.swarms.find(info_hash);
  if (found == shard.swarms.end()) return {};
  Expire(*found->second, now);
  return found->second->counts();
}

void SwarmTable::Sweep() {
  const auto now = clock_.Now();
  for (const auto& shard : shards_) {
    base::MutexLock lock(&shard->mutex);
    absl::erase_if(shard->swarms, [&](auto& entry) {
      Expire(*entry.second, now);
      if (entry.second->counts().peers() > 0) return false;
      --swarms_;
      return true;
    });
  }
}

TableTotals SwarmTable::Totals() const {
  return {.swarms = swarms_, .seeds = seeds_, .leeches = leeches_};
}

// The hash is seeded for each process, so nobody can aim at one shard. Its low bits are left to the
// shard's own map.
SwarmTable::Shard& SwarmTable::ShardOf(const InfoHash& info_hash) {
  return *shards_[(absl::Hash<InfoHash>()(info_hash) >> 40) % shards_.size()];
}

SwarmCounts SwarmTable::Leave(Shard& shard, const InfoHash& info_hash, const Peer& leaving,
                              base::Clock::TimePoint now) {
  shard.mutex.AssertHeld();
  const auto found = shard.swarms.find(info_hash);
  if (found == shard.swarms.end()) return {};
  Swarm& swarm = *found->second;
  Expire(swarm, now);
  const SwarmCounts before = swarm.counts();
  swarm.Leave(leaving);
  const SwarmCounts after = swarm.counts();
  Account(before, after);
  DropIfEmpty(shard, info_hash);
  return after;
}

std::chrono::seconds SwarmTable::IntervalFor(const Peer& peer, const SwarmCounts& counts,
                                             base::Clock::TimePoint now) const {
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - peer.joined);
  const bool lonely = !peer.seed && counts.peers() <= kFewPeers;
  if (age < kYoung || lonely) return InSeconds(options_.min_interval);
  return InSeconds(std::clamp(age / kAgePerInterval, options_.min_interval, options_.max_interval));
}

std::size_t SwarmTable::Wanted(const AnnounceRequest& request) const {
  return std::min(request.wanted.value_or(options_.default_peers), options_.max_peers);
}

absl::StatusOr<Swarm*> SwarmTable::FindOrMake(Shard& shard, const InfoHash& info_hash) {
  shard.mutex.AssertHeld();
  const auto found = shard.swarms.find(info_hash);
  if (found != shard.swarms.end()) return found->second.get();
  if (swarms_.fetch_add(1) >= options_.max_swarms) {
    --swarms_;
    return absl::ResourceExhaustedError(
        fmt::format("this tracker has its {} swarms (limits.swarms); announce to another one",
                    options_.max_swarms));
  }
  auto& swarm = shard.swarms[info_hash];
  swarm = std::make_unique<Swarm>();
  return swarm.get();
}

void SwarmTable::DropIfEmpty(Shard& shard, const InfoHash& info_hash) {
  shard.mutex.AssertHeld();
  const auto found = shard.swarms.find(info_hash);
  if (found == shard.swarms.end() || found->second->counts().peers() > 0) return;
  shard.swarms.erase(found);
  --swarms_;
}

bool SwarmTable::HasRoomFor(const Swarm& swarm, const PeerEndpoint& endpoint) const {
  if (swarm.Find(endpoint) != nullptr) return true;
  return swarm.counts().peers() < options_.max_peers_per_swarm &&
         seeds_ + leeches_ < options_.max_total_peers;
}

void SwarmTable::Expire(Swarm& swarm, base::Clock::TimePoint now) {
  const SwarmCounts before = swarm.counts();
  swarm.Expire(now - options_.peer_timeout);
  Account(before, swarm.counts());
}

// Unsigned arithmetic wraps, so a shrinking swarm adds the right number too.
void SwarmTable::Account(const SwarmCounts& before, const SwarmCounts& after) {
  seeds_ += after.seeds - before.seeds;
  leeches_ += after.leeches - before.leeches;
}

}  // namespace eagle::tracker
