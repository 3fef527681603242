#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/base/thread_pool.h"
#include "lib/base/units.h"
#include "plugin/content_store.h"
#include "plugin/hand_over.h"
#include "plugin/image_pull.h"
#include "plugin/layer_supply.h"
#include "plugin/manifest_index.h"
#include "plugin/plugin_metrics.h"
#include "plugin/policy.h"
#include "plugin/sidecar_breaker.h"
#include "plugin/sidecar_client.h"
#include "plugin/source_finder.h"

namespace eagle::plugin {

/// Gets finished layers from other namespaces of this node and, through the sidecar, from other
/// nodes: one job for each digest, any number of streams waiting for it. Gives up on a layer that
/// stands still or crawls, on all layers of an image when its budget of waiting in vain is used up,
/// and on all there are when the sidecar is hung, until that answers again. A sidecar that breaks
/// off is asked again for a while: it may be restarting.
///
/// Thread-safe; never blocks its callers.
class LayerFetcher final : public LayerSupply {
 public:
  struct Options {
    bool enabled = true;
    base::ByteSize min_size{};
    std::chrono::milliseconds stall_timeout{5000};
    std::chrono::milliseconds budget{6000};
    /// A sidecar that breaks off may take twice this long to come back.
    std::chrono::milliseconds sidecar_timeout{1000};
    /// Slower than this over kRateWindow is in vain; unlimited: never.
    base::ByteRate min_rate{32 << 10};
  };
  /// What it works with. All but the owned ones must outlive it.
  struct Parts {
    ContentStore& store;
    ManifestIndex& index;
    PluginMetrics& metrics;
    const base::Clock& clock;
    /// For short disk work, and for hashing whole layers.
    base::ThreadPool& disk_pool;
    base::ThreadPool& hash_pool;
    std::unique_ptr<SourceFinder> sources;
    std::unique_ptr<SidecarClient> sidecar;
    std::unique_ptr<HandOver> hand_over;
    Policy policy;
  };

  LayerFetcher(const Options& options, Parts parts);
  /// Ends what waits with kShuttingDown. No ticket may be left.
  ~LayerFetcher() override;

  std::unique_ptr<Ticket> Get(Request request, Done done) override;
  void Deleted(const base::Digest& digest) override;

  /// Looks at the clock. A thread of its own does so all the time; for tests.
  void Tick();

  /// Puts these rules in force, as a whole, for layers asked for from now on; the time-outs hold
  /// for layers that wait already, too. When they turn P2P off, every layer that waits for the
  /// swarm ends with kDisabled, but for those whose bytes are here and being verified. Returns how
  /// many ended.
  std::int64_t SetRules(const Options& options, Policy policy);

  /// Layers that wait at this moment.
  [[nodiscard]] std::int64_t waiting();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  class StreamTicket;
  struct Rules {
    Options options;
    Policy policy;
  };
  struct Stream;
  struct Job;
  using StreamPtr = std::shared_ptr<Stream>;
  using JobPtr = std::shared_ptr<Job>;
  using PullPtr = std::shared_ptr<ImagePull>;
  // What is to be done once the lock is released: no foreign code runs under it.
  using Actions = std::vector<std::function<void()>>;
  static void Run(Actions actions);

  [[nodiscard]] std::shared_ptr<const Rules> rules() const;

  // The way of a stream: from another namespace, else manifest -> sources -> job.
  void Look(const StreamPtr& stream);
  [[nodiscard]] std::shared_ptr<const VerifiedFile> FindLocal(const Request& request);
  [[nodiscard]] Fallback CheckRules(const Request& request) const;
  void AskForSources(const StreamPtr& stream, std::vector<ManifestIndex::Parent> parents);
  void OnSources(const StreamPtr& stream, const std::vector<ManifestIndex::Parent>& parents,
                 const absl::StatusOr<std::vector<SourceFinder::Found>>& found);
  void JoinLocked(const StreamPtr& stream, std::vector<LayerSource> sources, Actions* actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PullPtr PullLocked(const std::string& key, TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const StreamPtr& stream, Outcome outcome);
  void EndLocked(const StreamPtr& stream, Outcome outcome, Actions* actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetStream(const StreamPtr& stream);

  // The way of a job: fetching -> verifying -> its streams end.
  void StartFetch(const JobPtr& job, int attempt);
  void Prefetch(const ManifestIndex::Parent& parent, const base::Digest& first,
                const std::vector<LayerSource>& sources);
  void OnProgress(const JobPtr& job, const SidecarClient::Progress& progress);
  void OnFetchEnd(const JobPtr& job, const SidecarClient::End& end);
  [[nodiscard]] bool AskAgainLocked(const JobPtr& job, const SidecarClient::End& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Verify(const JobPtr& job);
  void EndJobLocked(const JobPtr& job, const Outcome& outcome, Actions* actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseJobLocked(const JobPtr& job, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TripPullsLocked(const JobPtr& job, Fallback reason, Actions* actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TripLocked(const PullPtr& pull, Fallback reason, Actions* actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  /// All that wait for the sidecar fall back.
  void BreakLocked(Fallback reason, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The clock: stalls, budgets, a sidecar that says nothing.
  void Watch();
  void CheckSidecarLocked(TimePoint now, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckJobLocked(const JobPtr& job, TimePoint now, Actions* actions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] bool CrawlsLocked(const JobPtr& job, TimePoint now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckJobsLocked(TimePoint now, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckPullsLocked(TimePoint now, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckIndexLocked(TimePoint now, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Work on a pool that the destructor waits for.
  void Post(base::ThreadPool& pool, std::function<void()> task);
  void AwaitTasks();

  Parts parts_;

  // Taken under mutex_, never the other way round.
  mutable base::Mutex rules_mutex_;
  std::shared_ptr<const Rules> rules_ ABSL_GUARDED_BY(rules_mutex_);

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int tasks_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those that wait.
  absl::flat_hash_set<StreamPtr> streams_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<base::Digest, JobPtr> jobs_ ABSL_GUARDED_BY(mutex_);
  // By namespace and manifest.
  absl::flat_hash_map<std::string, PullPtr> pulls_ ABSL_GUARDED_BY(mutex_);
  SidecarBreaker breaker_ ABSL_GUARDED_BY(mutex_);
  // Not yet told to the sidecar.
  std::vector<base::Digest> deleted_ ABSL_GUARDED_BY(mutex_);
  std::thread watcher_;
};

}  // namespace eagle::plugin
