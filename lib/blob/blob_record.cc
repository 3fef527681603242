#include "lib/blob/blob_record.h"

namespace eagle::blob {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kComplete = 1;
constexpr std::size_t kHeaderBytes = 1 + 1 + 8 + 2;

void PutLittleEndian(std::string* out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

std::uint64_t GetLittleEndian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8) | static_cast<std::uint8_t>(bytes[i - 1]);
  }
  return value;
}

}  // namespace

std::string EncodeState(const BlobState& state) {
  std::string out;
  out.reserve(kHeaderBytes + state.source.size());
  PutLittleEndian(&out, kVersion, 1);
  PutLittleEndian(&out, state.complete ? kComplete : 0, 1);
  PutLittleEndian(&out, static_cast<std::uint64_t>(state.size_bytes), 8);
  PutLittleEndian(&out, state.source.size(), 2);
  out += state.source;
  return out;
}

absl::StatusOr<BlobState> DecodeState(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return absl::DataLossError("state record is too short");
  if (static_cast<std::uint8_t>(bytes[0]) != kVersion) {
    return absl::DataLossError("state record has an unknown version");
  }
  const auto flags = static_cast<std::uint8_t>(bytes[1]);
  if ((flags & ~kComplete) != 0) return absl::DataLossError("state record has unknown flags");
  BlobState state;
  state.complete = (flags & kComplete) != 0;
  state.size_bytes = static_cast<std::int64_t>(GetLittleEndian(bytes.substr(2, 8)));
  if (state.size_bytes <= 0) return absl::DataLossError("state record has no valid size");
  const std::size_t source_size = GetLittleEndian(bytes.substr(10, 2));
  if (source_size > kMaxSourceBytes || source_size != bytes.size() - kHeaderBytes) {
    return absl::DataLossError("state record has a wrong length");
  }
  state.source = bytes.substr(kHeaderBytes);
  return state;
}

std::string EncodeLastUsed(std::chrono::system_clock::time_point last_used) {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(last_used.time_since_epoch());
  std::string out;
  PutLittleEndian(&out, static_cast<std::uint64_t>(micros.count()), 8);
  return out;
}

absl::StatusOr<std::chrono::system_clock::time_point> DecodeLastUsed(std::string_view bytes) {
  if (bytes.size() != 8) return absl::DataLossError("last-use record has a wrong length");
  const auto micros = static_cast<std::int64_t>(GetLittleEndian(bytes));
  // Year 2500: beyond it lies what the clock's own unit may not hold.
  if (micros < 0 || micros > std::int64_t{16'725'225'600'000'000}) {
    return absl::DataLossError("last-use record is no point in time");
  }
  return std::chrono::system_clock::time_point(std::chrono::microseconds(micros));
}

}  // namespace eagle::blob
