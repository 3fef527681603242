#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::blob {

inline constexpr std::size_t kMaxSourceBytes = 4 << 10;
inline constexpr std::size_t kMaxMetainfoBytes = 16 << 20;

/// The part of a blob's record that is one value in the index (FORMAT.md, "State").
struct BlobState {
  std::int64_t size_bytes = 0;
  bool complete = false;
  std::string source;

  friend bool operator==(const BlobState&, const BlobState&) = default;
};

std::string EncodeState(const BlobState& state);

/// DATA_LOSS when the bytes are no state record of the version that this program writes. Accepts
/// exactly what EncodeState() makes.
absl::StatusOr<BlobState> DecodeState(std::string_view bytes);

std::string EncodeLastUsed(std::chrono::system_clock::time_point last_used);
absl::StatusOr<std::chrono::system_clock::time_point> DecodeLastUsed(std::string_view bytes);

}  // namespace eagle::blob
