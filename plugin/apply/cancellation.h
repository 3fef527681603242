#pragma once

#include <atomic>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace eagle::apply {

/// Tells work that its result is no longer wanted. Thread-safe.
class Cancellation {
 public:
  Cancellation();

  void Cancel();
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  /// CANCELLED once it is, else OK.
  [[nodiscard]] absl::Status Check() const;
  /// Readable once cancelled, for poll(2).
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  std::atomic<bool> cancelled_{false};
  base::UniqueFd event_;
};

}  // namespace eagle::apply
