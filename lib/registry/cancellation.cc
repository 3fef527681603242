#include "lib/registry/cancellation.h"

#include <utility>

#include "absl/time/time.h"

namespace eagle::registry {

void Cancellation::Cancel() {
  const absl::MutexLock held(&mutex_);
  cancelled_ = true;
  // Under the lock, so that SetWake(nullptr) can promise what it does; a wake only writes to a
  // pipe.
  if (wake_) wake_();
}

bool Cancellation::cancelled() const {
  const absl::MutexLock held(&mutex_);
  return cancelled_;
}

bool Cancellation::Sleep(std::chrono::milliseconds duration) {
  const absl::MutexLock held(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), absl::FromChrono(duration));
  return !cancelled_;
}

void Cancellation::SetWake(std::function<void()> wake) {
  const absl::MutexLock held(&mutex_);
  wake_ = std::move(wake);
  if (cancelled_ && wake_) wake_();
}

}  // namespace eagle::registry
