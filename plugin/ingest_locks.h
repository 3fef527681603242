#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace eagle::plugin {

/// Shared with whoever knows how a transfer goes; that may outlive the stream.
using LiveOffsetPtr = std::shared_ptr<std::atomic<std::int64_t>>;

/// Which refs have a Write stream. A ref belongs to one stream at a time, and what that stream is
/// waiting for can be seen by Status calls. Thread-safe; never blocks. Outlives its locks.
class IngestLocks {
 public:
  /// The ref is taken while this lives. Move-only.
  class Lock {
   public:
    Lock(Lock&&) noexcept = default;
    Lock& operator=(Lock&&) = delete;
    ~Lock() {
      if (live_ != nullptr) locks_->Release(ref_);
    }

    /// How far a transfer to this ingest is that is not in its file yet; 0 when there is none.
    [[nodiscard]] const LiveOffsetPtr& live() const { return live_; }

   private:
    friend class IngestLocks;
    Lock(IngestLocks* locks, std::string ref, LiveOffsetPtr live)
        : locks_(locks), ref_(std::move(ref)), live_(std::move(live)) {}
    IngestLocks* locks_;
    std::string ref_;
    LiveOffsetPtr live_;
  };

  /// nullopt when another stream has it.
  std::optional<Lock> TryLock(const std::string& ref);

  /// What the stream that has `ref` reported last.
  [[nodiscard]] std::int64_t LiveOffset(const std::string& ref) const;

 private:
  void Release(const std::string& ref);

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, LiveOffsetPtr> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::plugin
