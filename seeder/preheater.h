#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/image_name.h"
#include "lib/registry/manifest.h"
#include "seeder/image_fetch.h"
#include "seeder/seeder_metrics.h"

namespace eagle::seeder {

struct PreheatRequest {
  registry::ImageName image;
  /// Those of an index that are wanted; empty: the configured ones.
  std::vector<registry::Platform> platforms;
};

enum class PreheatState { kQueued, kRunning, kDone, kFailed };

struct PreheatView {
  /// The same for the same image and platforms, on every seeder and after a restart.
  std::string id;
  std::string image;
  PreheatState state = PreheatState::kQueued;
  /// Of kFailed, or of the last attempt of one that is tried again.
  absl::Status failure;
  ImageProgress progress;
};

/// Somebody who waits for an image. Called from any thread at every change; must not block. One
/// call has the state kDone or kFailed; what comes after it is older.
class PreheatObserver {
 public:
  virtual ~PreheatObserver() = default;
  virtual void OnPreheat(const PreheatView& view) = 0;
};

/// Images that are to be in the swarm before a node asks for them: a bounded queue, worked off in
/// the background. What fails for want of somebody who answers is tried again, after a pause that
/// doubles, while others have their turn. The queue is lost at a stop. Thread-safe.
class Preheater {
 public:
  struct Options {
    /// Images that wait or are fetched.
    std::size_t max_queued = 256;
    std::size_t images_at_once = 2;
    std::vector<registry::Platform> platforms;
    int attempts = 6;
    /// Before the second attempt.
    std::chrono::milliseconds retry_delay{5'000};
    /// Images that are done or have failed and can still be asked for.
    std::size_t remembered = 256;
  };
  /// Brings an image here; ImageFetch::Run().
  using Work =
      std::function<absl::Status(const registry::ImageName&, const std::vector<registry::Platform>&,
                                 const ImageProgressCallback&, registry::Cancellation&)>;
  /// Whether a registry may be asked at all; Origins::Allows().
  using Allowed = std::function<absl::Status(const std::string& registry)>;

  /// `metrics` must outlive it.
  Preheater(Options options, Work work, Allowed allowed, SeederMetrics& metrics);
  /// Stop(), then waits for its threads.
  ~Preheater();
  Preheater(const Preheater&) = delete;
  Preheater& operator=(const Preheater&) = delete;

  /// Queues the image unless it waits or is fetched already; returns its state. The observer
  /// (nullptr: nobody) hears what changes from then on. PERMISSION_DENIED when its registry may not
  /// be asked, RESOURCE_EXHAUSTED when the queue is full, CANCELLED after Stop().
  absl::StatusOr<PreheatView> Submit(const PreheatRequest& request,
                                     std::shared_ptr<PreheatObserver> observer);
  /// No new call to it begins.
  void Leave(const std::string& id, const std::shared_ptr<PreheatObserver>& observer);
  /// What is known of it; nothing when it was never submitted, or long ago.
  [[nodiscard]] std::optional<PreheatView> Find(const std::string& id) const;

  /// Images that wait or are fetched.
  [[nodiscard]] std::int64_t waiting() const;

  /// Ends what is fetched; everybody who waits hears kFailed.
  void Stop();

 private:
  struct Job;

  void RunLoop();
  std::shared_ptr<Job> TakeNext();
  void Attempt(const std::shared_ptr<Job>& job);
  void Settle(const std::shared_ptr<Job>& job, const absl::Status& status);
  void End(Job& job, PreheatState state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const std::shared_ptr<Job>& job);

  const Options options_;
  const Work work_;
  const Allowed allowed_;
  SeederMetrics& metrics_;

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::shared_ptr<Job>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Job>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Job>> ended_ ABSL_GUARDED_BY(mutex_);
  std::size_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_;
};

}  // namespace eagle::seeder
