#pragma once

#include <chrono>

namespace eagle::base {

/// Where time comes from, so that tests can move it. Implementations are thread-safe.
class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;
  /// Monotonic.
  [[nodiscard]] virtual TimePoint Now() const = 0;
  /// Seconds since the Unix epoch.
  [[nodiscard]] virtual std::chrono::system_clock::time_point WallNow() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::now();
  }
};

}  // namespace eagle::base
