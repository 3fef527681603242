#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/registry/blob_sink.h"
#include "lib/registry/cancellation.h"
#include "seeder/seeder_metrics.h"
#include "seeder/ssi/backend.h"
#include "seeder/storage.h"

namespace eagle::seeder {

/// The storage back end under the seeder's own disk: copies every layer there, in the background,
/// and brings back what the disk has evicted. Thread-safe.
class DurableTier {
 public:
  struct Options {
    /// Layers that wait to be copied; of more, the oldest are left out until the next start. Each
    /// is kept from eviction until it is copied.
    std::size_t max_waiting = 256;
    /// Between two attempts to copy one.
    std::chrono::milliseconds retry_delay{5'000};
    int attempts = 5;
  };

  /// `storage` and `metrics` must outlive it.
  DurableTier(std::unique_ptr<ssi::Backend> backend, Storage& storage, SeederMetrics& metrics,
              const Options& options);
  /// Ends a copy that is under way.
  ~DurableTier();
  DurableTier(const DurableTier&) = delete;
  DurableTier& operator=(const DurableTier&) = delete;

  /// The layer will be copied unless it is there already. Does not block.
  void Keep(const base::Digest& digest);

  enum class Restored {
    /// All of it is in the sink, and it is the digest's.
    kYes,
    /// It is not there, or the back end has trouble: the sink has had nothing.
    kNo,
    /// It broke off: the sink has had some, see `received`.
    kPartly,
  };
  struct RestoreResult {
    Restored restored = Restored::kNo;
    /// The sink's error, or that of wrong bytes; then nobody else can help this sink.
    absl::Status status;
    std::int64_t received = 0;
    std::int64_t size_bytes = 0;
  };
  /// Streams the layer into the sink. Blocks. What has other bytes than its name says is deleted.
  RestoreResult Restore(const base::Digest& digest, registry::BlobSink& sink,
                        const registry::Cancellation& cancellation);

  /// The same for all that the disk has at the start: they wait without being kept from eviction,
  /// and until nothing new is waiting.
  void KeepAll(const std::vector<base::Digest>& digests);

  /// Deletes the layer from the back end; whether it was there.
  absl::StatusOr<bool> Forget(const base::Digest& digest);

  /// Layers that are still to be copied.
  [[nodiscard]] std::int64_t waiting() const;

  /// Ends what blocks; nothing is copied or restored any more.
  void Stop();

  /// Waits until nothing is waiting to be copied; for tests.
  void WaitUntilIdle();

 private:
  struct Waiting {
    base::Digest digest;
    std::unique_ptr<LayerPin> pin;
  };

  void Run();
  Waiting TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CopyWithRetries(const base::Digest& digest);
  absl::Status Copy(const base::Digest& digest);
  bool Pause();

  const std::unique_ptr<ssi::Backend> backend_;
  Storage& storage_;
  SeederMetrics& metrics_;
  const Options options_;
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::deque<base::Digest> backlog_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<base::Digest> known_ ABSL_GUARDED_BY(mutex_);
  std::thread copier_;
};

}  // namespace eagle::seeder
