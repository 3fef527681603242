#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

namespace eagle::registry {

struct RetryOptions {
  /// Attempts that may fail in a row; one that brought at least 1 MiB starts the count anew.
  int attempts = 5;
  /// Wait before the second attempt; doubled for each further one, and jittered by half.
  std::chrono::milliseconds delay{250};
  /// No wait is longer, whatever Retry-After asks for.
  std::chrono::milliseconds max_delay{10'000};
};

/// Counts the failed attempts of one transfer. Not thread-safe.
class Retries {
 public:
  explicit Retries(const RetryOptions& options) : options_(options) {}

  [[nodiscard]] int failures() const { return failures_; }

  /// An attempt that brought `bytes` has failed: how long to wait before the next one, or nothing
  /// when it was the last.
  std::optional<std::chrono::milliseconds> Failed(std::int64_t bytes,
                                                  std::optional<std::chrono::seconds> retry_after) {
    constexpr std::int64_t kProgressBytes = 1 << 20;
    if (bytes >= kProgressBytes) failures_ = 0;
    if (++failures_ >= options_.attempts) return std::nullopt;
    auto delay = options_.delay * (std::int64_t{1} << std::min(failures_ - 1, 20));
    delay = delay * std::uniform_int_distribution<>(50, 150)(random_) / 100;
    if (retry_after) delay = std::max<std::chrono::milliseconds>(delay, *retry_after);
    return std::min(delay, options_.max_delay);
  }

 private:
  const RetryOptions options_;
  int failures_ = 0;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace eagle::registry
