#pragma once

#include <map>
#include <string_view>

#include "lib/base/units.h"
#include "lib/blob/blob_cache.h"
#include "lib/observe/metrics.h"
#include "lib/swarm/session.h"
#include "sidecar/layer.h"

namespace eagle::sidecar {

/// All metrics of the sidecar. The methods say what happened; of one thread.
class SidecarMetrics {
 public:
  SidecarMetrics(observe::MetricsRegistry& registry, base::ByteSize cache_limit);

  void FetchedFromCache() { cached_.Increment(); }
  void FetchedFromSwarm() { fetched_.Increment(); }
  void FetchFailed(FailureReason reason) { failed_.at(reason)->Increment(); }
  void FetchCancelled() { cancelled_.Increment(); }
  void Discarded() { discarded_.Increment(); }
  void SeederFailed() { seeder_failures_.Increment(); }

  /// The totals since the start.
  void SwarmMoved(const swarm::SessionTotals& totals);
  void CacheIs(const blob::BlobCacheUsage& usage);
  void TransfersAre(std::size_t active, std::size_t queued);

 private:
  observe::Counter& from_peers_;
  observe::Counter& from_seeders_;
  observe::Counter& sent_;
  observe::Counter& hash_failures_;
  observe::Gauge& torrents_;
  observe::Gauge& peers_;
  observe::Counter& cached_;
  observe::Counter& fetched_;
  observe::Counter& cancelled_;
  std::map<FailureReason, observe::Counter*> failed_;
  observe::Counter& discarded_;
  observe::Counter& seeder_failures_;
  observe::Gauge& active_;
  observe::Gauge& queued_;
  observe::Gauge& cache_bytes_;
  observe::Gauge& cache_blobs_;
  observe::Counter& evicted_blobs_;
  observe::Counter& evicted_bytes_;
  swarm::SessionTotals seen_totals_;
  blob::BlobCacheUsage seen_usage_;
};

/// The value of a label: "no_seeder", "denied", ...
std::string_view NameOf(FailureReason reason);

}  // namespace eagle::sidecar
