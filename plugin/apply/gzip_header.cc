#include "plugin/apply/gzip_header.h"

#include <zlib.h>

namespace eagle::apply {
namespace {

constexpr std::uint8_t kFlagChecksum = 2;
constexpr std::uint8_t kFlagExtra = 4;
constexpr std::uint8_t kFlagName = 8;
constexpr std::uint8_t kFlagComment = 16;
constexpr std::size_t kFixedBytes = 10;
constexpr std::size_t kMaxTextBytes = 512;

std::size_t LittleEndian16(std::string_view bytes) {
  return static_cast<std::uint8_t>(bytes[0]) |
         static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[1])) << 8;
}

}  // namespace

void GzipHeaderParser::Enter(Field field) {
  // Fields are in the order of the enumeration; those that the flags leave out are skipped.
  bytes_.clear();
  field_ = field;
  if (field_ == Field::kExtraLength && (flags_ & kFlagExtra) == 0) field_ = Field::kName;
  if (field_ == Field::kExtra && extra_bytes_ == 0) field_ = Field::kName;
  if (field_ == Field::kName && (flags_ & kFlagName) == 0) field_ = Field::kComment;
  if (field_ == Field::kComment && (flags_ & kFlagComment) == 0) field_ = Field::kChecksum;
  if (field_ == Field::kChecksum && (flags_ & kFlagChecksum) == 0) field_ = Field::kDone;
}

absl::Status GzipHeaderParser::FinishField() {
  if (field_ != Field::kChecksum) {
    crc_ = static_cast<std::uint32_t>(
        crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes_.data()), bytes_.size()));
  }
  switch (field_) {
    case Field::kFixed:
      if (!std::string_view(bytes_).starts_with("\x1f\x8b\x08")) {
        return absl::DataLossError("the gzip stream is damaged (no member where one should start)");
      }
      flags_ = static_cast<std::uint8_t>(bytes_[3]);
      Enter(Field::kExtraLength);
      break;
    case Field::kExtraLength:
      extra_bytes_ = LittleEndian16(bytes_);
      Enter(Field::kExtra);
      break;
    case Field::kExtra:
      Enter(Field::kName);
      break;
    case Field::kName:
      Enter(Field::kComment);
      break;
    case Field::kComment:
      Enter(Field::kChecksum);
      break;
    case Field::kChecksum:
      if (LittleEndian16(bytes_) != (crc_ & 0xffff)) {
        return absl::DataLossError("the gzip stream is damaged (header checksum)");
      }
      Enter(Field::kDone);
      break;
    case Field::kDone:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> GzipHeaderParser::Consume(std::string_view* input) {
  while (field_ != Field::kDone) {
    std::size_t wanted = 0;
    bool complete = false;
    if (field_ == Field::kName || field_ == Field::kComment) {
      const std::size_t end = input->find('\0');
      complete = end != std::string_view::npos;
      wanted = complete ? end + 1 : input->size();
      if (bytes_.size() + wanted > kMaxTextBytes) {
        return absl::DataLossError("the gzip stream is damaged (name or comment too long)");
      }
    } else {
      std::size_t size = kFixedBytes;
      if (field_ == Field::kExtra) size = extra_bytes_;
      if (field_ == Field::kExtraLength || field_ == Field::kChecksum) size = 2;
      wanted = std::min(size - bytes_.size(), input->size());
      complete = bytes_.size() + wanted == size;
    }
    bytes_ += input->substr(0, wanted);
    input->remove_prefix(wanted);
    if (!complete) return false;
    EAGLE_RETURN_IF_ERROR(FinishField());
  }
  field_ = Field::kFixed;
  bytes_.clear();
  crc_ = 0;
  return true;
}

}  // namespace eagle::apply
