#pragma once

#include <chrono>
#include <functional>

#include "absl/synchronization/mutex.h"

namespace eagle::registry {

/// Ends one blocking fetch from another thread. Thread-safe; must outlive the fetch.
class Cancellation {
 public:
  /// Final: a cancelled object stays so.
  void Cancel();
  [[nodiscard]] bool cancelled() const;

  /// Waits that long; false at once when cancelled.
  bool Sleep(std::chrono::milliseconds duration);

  /// Called by Cancel() from its thread, also at once when that has happened already. nullptr takes
  /// it off; then no call is running any more.
  void SetWake(std::function<void()> wake);

 private:
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::registry
