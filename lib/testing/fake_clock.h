#pragma once

#include <atomic>
#include <chrono>

#include "lib/base/clock.h"

namespace eagle::testing {

/// A clock that stands still until a test moves it. Thread-safe.
class FakeClock final : public base::Clock {
 public:
  [[nodiscard]] TimePoint Now() const override {
    return TimePoint(std::chrono::hours(1)) + std::chrono::nanoseconds(elapsed_.load());
  }
  [[nodiscard]] std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 50)) +
           std::chrono::nanoseconds(elapsed_.load());
  }

  void Advance(std::chrono::nanoseconds by) { elapsed_ += by.count(); }

 private:
  std::atomic<std::chrono::nanoseconds::rep> elapsed_{0};
};

}  // namespace eagle::testing
