#include "tracker/swarm.h"

#include <iterator>

namespace eagle::tracker {

const Peer* Swarm::Find(const PeerEndpoint& endpoint) const {
  const auto found = by_endpoint_.find(endpoint);
  return found == by_endpoint_.end() ? nullptr : &*found->second;
}

const Peer& Swarm::Announce(const Peer& announced, Event event, base::Clock::TimePoint now) {
  const auto found = by_endpoint_.find(announced.endpoint);
  const bool known = found != by_endpoint_.end() && found->second->id == announced.id;
  if (event == Event::kCompleted && !(known && found->second->seed)) ++completed_;
  if (found == by_endpoint_.end()) {
    by_age_.push_back(announced);
    by_endpoint_.emplace(announced.endpoint, std::prev(by_age_.end()));
  } else {
    RemoveFromPool(*found->second);
    by_age_.splice(by_age_.end(), by_age_, found->second);
  }
  Peer& peer = by_age_.back();
  peer.id = announced.id;
  peer.key = announced.key;
  peer.seed = announced.seed;
  if (!known || event == Event::kStarted) peer.joined = now;
  peer.last_seen = now;
  AddToPool(peer);
  return peer;
}

void Swarm::Leave(const Peer& leaving) {
  const auto found = by_endpoint_.find(leaving.endpoint);
  if (found == by_endpoint_.end()) return;
  const auto peer = found->second;
  if (peer->id != leaving.id || peer->key != leaving.key) return;
  RemoveFromPool(*peer);
  by_endpoint_.erase(found);
  by_age_.erase(peer);
}

void Swarm::Expire(base::Clock::TimePoint last_seen) {
  while (!by_age_.empty() && by_age_.front().last_seen <= last_seen) {
    RemoveFromPool(by_age_.front());
    by_endpoint_.erase(by_age_.front().endpoint);
    by_age_.pop_front();
  }
}

std::span<const Peer* const> Swarm::pool(Family family, Role role) const {
  return pools_[static_cast<std::size_t>(family)][static_cast<std::size_t>(role)];
}

SwarmCounts Swarm::counts() const {
  SwarmCounts counts{.completed = completed_};
  for (const auto family : {Family::kV4, Family::kV6}) {
    counts.seeds += pool(family, Role::kSeed).size();
    counts.leeches += pool(family, Role::kLeech).size();
  }
  return counts;
}

Swarm::Pool& Swarm::PoolOf(const Peer& peer) {
  return pools_[static_cast<std::size_t>(FamilyOf(peer))][static_cast<std::size_t>(RoleOf(peer))];
}

void Swarm::AddToPool(Peer& peer) {
  Pool& pool = PoolOf(peer);
  peer.pool_index = pool.size();
  pool.push_back(&peer);
}

void Swarm::RemoveFromPool(const Peer& peer) {
  Pool& pool = PoolOf(peer);
  Peer* last = pool.back();
  pool[peer.pool_index] = last;
  last->pool_index = peer.pool_index;
  pool.pop_back();
}

}  // namespace eagle::tracker
