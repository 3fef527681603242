#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::apply {

/// Parses the header of a gzip member (RFC 1952, 2.3) as it arrives, and as Go's compress/gzip
/// does: unknown flags are ignored, a header checksum is checked, a name or comment has at most 511
/// bytes.
class GzipHeaderParser {
 public:
  /// Takes the header's bytes off the front of `*input`. True when the header is complete, false
  /// when it wants more; DATA_LOSS when it is no gzip header.
  absl::StatusOr<bool> Consume(std::string_view* input);

  /// No byte of a header has been seen since the last complete one.
  [[nodiscard]] bool idle() const { return field_ == Field::kFixed && bytes_.empty(); }

 private:
  enum class Field { kFixed, kExtraLength, kExtra, kName, kComment, kChecksum, kDone };

  void Enter(Field field);
  absl::Status FinishField();

  Field field_ = Field::kFixed;
  // Bytes of the current field so far.
  std::string bytes_;
  std::uint8_t flags_ = 0;
  std::size_t extra_bytes_ = 0;
  std::uint32_t crc_ = 0;
};

}  // namespace eagle::apply
