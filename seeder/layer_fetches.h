#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/thread_pool.h"
#include "seeder/layer_request.h"
#include "seeder/origin_fetch.h"
#include "seeder/other_seeders.h"
#include "seeder/second_uploads.h"
#include "seeder/seeder_metrics.h"
#include "seeder/storage.h"

namespace eagle::seeder {

/// Whether a request comes from another seeder, which passed it on: such a request is served here
/// and never passed on again.
enum class Hop { kFromNode, kFromSeeder };

/// Somebody who waits for a layer. Called from any thread, also from several at once; must not
/// block. Progress may still come after OnDone.
class FetchObserver {
 public:
  virtual ~FetchObserver() = default;
  virtual void OnProgress(std::int64_t bytes_fetched, std::int64_t bytes_total) = 0;
  /// Once, unless the observer has left.
  virtual void OnDone(const absl::StatusOr<LayerAnswer>& answer) = 0;
};

struct LayerFetchesOptions {
  /// Every seeder, as nodes list them; empty for a seeder alone.
  std::vector<std::string> seeders;
  std::string self;
  /// "ip:port" of this seeder's BitTorrent port; empty when it does not know its address.
  std::vector<std::string> own_peers;
  /// How often observers hear of progress.
  std::chrono::milliseconds progress_interval{250};
  /// How long a failed layer is answered with its failure, so that N nodes do not make N fetches.
  std::chrono::milliseconds failure_memory{3'000};
  /// How long a seeder that did not answer is passed over.
  std::chrono::milliseconds unhealthy_memory{5'000};
};

/// Gets layers for whoever asks, each one once at a time: from the storage, else from the seeder
/// that owns the layer (rendezvous hashing of the digest over the seeders), else from the registry.
/// A fetch goes on when everybody who waited for it has left, as others will come.
///
/// Thread-safe; nothing here blocks its caller but Stop() and the destructor.
class LayerFetches {
 public:
  /// All of these must outlive it.
  LayerFetches(LayerFetchesOptions options, Storage& storage, OriginFetch& origin,
               OtherSeeders& others, SecondUploads& uploads, SeederMetrics& metrics,
               const base::Clock& clock);
  /// Stop(), then waits for its threads.
  ~LayerFetches();
  LayerFetches(const LayerFetches&) = delete;
  LayerFetches& operator=(const LayerFetches&) = delete;

  /// The observer is shared: it may have left while a call to it is on its way.
  void Watch(const LayerRequest& request, Hop hop, std::shared_ptr<FetchObserver> observer);
  /// No new call to it begins. Does nothing when it is not waiting.
  void Leave(const base::Digest& digest, const std::shared_ptr<FetchObserver>& observer);

  /// Cancels every fetch; those who wait get CANCELLED, as does everybody who asks from now on.
  void Stop();

 private:
  struct Fetch;

  struct Failure {
    absl::Status status;
    base::Clock::TimePoint until;
  };

  void Start(const std::shared_ptr<Fetch>& fetch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookUp(const std::shared_ptr<Fetch>& fetch);
  void PassOn(const std::shared_ptr<Fetch>& fetch);
  void FetchHere(const std::shared_ptr<Fetch>& fetch);
  /// Whether it was settled, one way or the other.
  bool AskSeeder(const std::shared_ptr<Fetch>& fetch, const std::string& seeder);
  void End(const std::shared_ptr<Fetch>& fetch, const absl::StatusOr<LayerAnswer>& answer);
  void TellProgress();

  [[nodiscard]] std::vector<std::string> SeedersToAsk(const base::Digest& digest) const;
  void RememberFailure(const LayerRequest& request, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RecentFailure(const LayerRequest& request);

  const LayerFetchesOptions options_;
  Storage& storage_;
  OriginFetch& origin_;
  OtherSeeders& others_;
  SecondUploads& uploads_;
  SeederMetrics& metrics_;
  const base::Clock& clock_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<base::Digest, std::shared_ptr<Fetch>> fetches_ ABSL_GUARDED_BY(mutex_);
  std::int64_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<LayerRequest, Failure> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, base::Clock::TimePoint> unhealthy_until_ ABSL_GUARDED_BY(mutex_);

  // Apart from each other: a fetch from a registry never waits for another seeder, so that two
  // seeders that wait for each other's fetches always get on. Each posts only to those above it.
  base::ThreadPool fetching_;
  base::ThreadPool passing_on_;
  base::ThreadPool lookups_;
  std::thread teller_;
};

}  // namespace eagle::seeder
