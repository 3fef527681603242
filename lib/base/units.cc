#include "lib/base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace eagle::base {
namespace {

struct Unit {
  std::string_view suffix;
  double factor;
};

constexpr std::array<Unit, 10> kSizeUnits = {{{"", 1},
                                              {"B", 1},
                                              {"KiB", 1024.0},
                                              {"MiB", 1024.0 * 1024},
                                              {"GiB", 1024.0 * 1024 * 1024},
                                              {"TiB", 1024.0 * 1024 * 1024 * 1024},
                                              {"kB", 1e3},
                                              {"MB", 1e6},
                                              {"GB", 1e9},
                                              {"TB", 1e12}}};

constexpr std::array<Unit, 4> kDurationUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};

// Largest value that both a double and an int64 hold with room to spare.
constexpr double kMaxValue = 4e18;

template <std::size_t N>
std::optional<std::int64_t> ParseWithUnit(std::string_view text, const std::array<Unit, N>& units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  while (suffix.starts_with(' ')) suffix.remove_prefix(1);
  for (const Unit& unit : units) {
    if (suffix != unit.suffix) continue;
    const double value = number * unit.factor;
    if (value > kMaxValue) return std::nullopt;
    return static_cast<std::int64_t>(std::llround(value));
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<ByteSize> ByteSize::Parse(std::string_view text) {
  if (auto bytes = ParseWithUnit(text, kSizeUnits)) return ByteSize{*bytes};
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a size; write for instance 512B, 64KiB, 1MiB or 100GiB", text));
}

std::string ByteSize::str() const {
  static constexpr std::array<std::string_view, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::int64_t value = bytes;
  std::size_t unit = 0;
  while (unit + 1 < kNames.size() && value != 0 && value % 1024 == 0) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", value, kNames[unit]);
}

absl::StatusOr<ByteRate> ByteRate::Parse(std::string_view text) {
  if (text == "unlimited") return ByteRate{};
  if (text.ends_with("/s")) {
    auto bytes = ParseWithUnit(text.substr(0, text.size() - 2), kSizeUnits);
    if (bytes && *bytes > 0) return ByteRate{*bytes};
  }
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a rate; write for instance 50MiB/s or unlimited", text));
}

std::string ByteRate::str() const {
  return unlimited() ? "unlimited" : ByteSize{bytes_per_second}.str() + "/s";
}

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  if (auto ms = ParseWithUnit(text, kDurationUnits)) return std::chrono::milliseconds(*ms);
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a duration; write for instance 250ms, 5s, 10m or 2h", text));
}

}  // namespace eagle::base
