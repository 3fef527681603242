#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"
#include "lib/observe/metrics.h"
#include "lib/swarm/session.h"
#include "seeder/storage.h"

namespace eagle::seeder {

enum class Method { kGetMetaInfo, kWatchMetaInfo };

/// How a fetch from a registry ended.
enum class OriginResult {
  kOk,
  kWrongBytes,
  kNotFound,
  kDenied,
  kNoSpace,
  kUnavailable,
  kCancelled
};

/// How a request passed on to another seeder ended.
enum class PassedOnResult { kOk, kFailed, kUnhealthy };

/// All metrics of the seeder (README.md lists them). Thread-safe.
class SeederMetrics {
 public:
  /// `registry` must outlive it.
  explicit SeederMetrics(observe::MetricsRegistry& registry);

  void RequestEnded(Method method, absl::StatusCode code);
  void OriginSent(std::int64_t bytes);
  void OriginFetchEnded(OriginResult result);
  void PassedOn(PassedOnResult result);
  /// Bytes that came from the storage back end instead of a registry.
  void Restored(std::int64_t bytes);
  /// A layer was copied to the storage back end, or given up.
  void LayerKept(bool ok);
  void CallersWait(std::int64_t callers);
  /// Images that are to be preheated, with those that are being fetched.
  void PreheatsWait(std::int64_t images);
  void PreheatEnded(bool ok);
  /// What the session and the storage count themselves; called again and again.
  void ObserveSwarm(const swarm::SessionTotals& totals);
  void ObserveStorage(const Storage::Usage& usage);

 private:
  // A counter that follows a total kept elsewhere.
  struct Follower {
    observe::Counter* counter = nullptr;
    std::int64_t seen = 0;
    void Follow(std::int64_t total);
  };

  std::map<std::pair<Method, absl::StatusCode>, observe::Counter*> requests_;
  observe::Counter& origin_bytes_;
  std::map<OriginResult, observe::Counter*> origin_fetches_;
  std::map<PassedOnResult, observe::Counter*> passed_on_;
  observe::Counter& restored_bytes_;
  observe::Counter& kept_;
  observe::Counter& not_kept_;
  observe::Counter& preheated_;
  observe::Counter& not_preheated_;
  observe::Gauge& waiting_preheats_;
  observe::Gauge& waiting_callers_;
  observe::Gauge& stored_bytes_;
  observe::Gauge& storage_limit_bytes_;
  observe::Gauge& stored_layers_;
  observe::Gauge& torrents_;
  observe::Gauge& peers_;
  absl::Mutex mutex_;
  Follower sent_bytes_ ABSL_GUARDED_BY(mutex_);
  Follower received_bytes_ ABSL_GUARDED_BY(mutex_);
  Follower hash_failures_ ABSL_GUARDED_BY(mutex_);
  Follower evicted_layers_ ABSL_GUARDED_BY(mutex_);
  Follower evicted_bytes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::seeder
