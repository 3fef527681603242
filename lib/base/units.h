#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::base {

/// A size in bytes, written "100GiB", "1MiB", "64KiB", "512B", "10GB" or a plain number.
struct ByteSize {
  std::int64_t bytes = 0;

  static absl::StatusOr<ByteSize> Parse(std::string_view text);
  /// In the largest binary unit that divides it: "1536KiB".
  [[nodiscard]] std::string str() const;

  friend auto operator<=>(const ByteSize&, const ByteSize&) = default;
};

constexpr ByteSize KiB(std::int64_t n) {
  return {n << 10};
}
constexpr ByteSize MiB(std::int64_t n) {
  return {n << 20};
}
constexpr ByteSize GiB(std::int64_t n) {
  return {n << 30};
}
constexpr ByteSize TiB(std::int64_t n) {
  return {n << 40};
}

/// A rate, written as a size per second ("50MiB/s") or "unlimited".
struct ByteRate {
  /// 0 is unlimited.
  std::int64_t bytes_per_second = 0;

  static absl::StatusOr<ByteRate> Parse(std::string_view text);
  [[nodiscard]] bool unlimited() const { return bytes_per_second == 0; }
  [[nodiscard]] std::string str() const;

  friend auto operator<=>(const ByteRate&, const ByteRate&) = default;
};

/// "250ms", "5s", "10m", "2h", also "1.5s". A number without a unit is an error.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);

}  // namespace eagle::base
