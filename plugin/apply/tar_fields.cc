#include "plugin/apply/tar_fields.h"

#include <array>
#include <charconv>
#include <vector>

namespace eagle::apply {
namespace {

constexpr std::string_view kSparseOffset = "GNU.sparse.offset";
constexpr std::string_view kSparseNumBytes = "GNU.sparse.numbytes";

bool ValidPaxRecord(std::string_view key, std::string_view value) {
  if (key.empty()) return false;
  if (key == "path" || key == "linkpath" || key == "uname" || key == "gname") {
    return value.find('\0') == std::string_view::npos;
  }
  return key.find('\0') == std::string_view::npos;
}

// Splits the first record off `*data`.
bool TakePaxRecord(std::string_view* data, std::string_view* key, std::string_view* value) {
  const std::size_t space = data->find(' ');
  std::int64_t length = 0;
  if (space == std::string_view::npos || !ParseDecimal(data->substr(0, space), &length)) {
    return false;
  }
  constexpr std::int64_t kShortest = 5;
  if (length < kShortest || length > static_cast<std::int64_t>(data->size())) return false;
  const auto size = static_cast<std::size_t>(length);
  if (size <= space + 1 || (*data)[size - 1] != '\n') return false;
  const std::string_view record = data->substr(space + 1, size - space - 2);
  const std::size_t equals = record.find('=');
  if (equals == std::string_view::npos) return false;
  *key = record.substr(0, equals);
  *value = record.substr(equals + 1);
  data->remove_prefix(size);
  return ValidPaxRecord(*key, *value);
}

}  // namespace

std::string_view CString(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

bool ParseOctal(std::string_view field, std::int64_t* out) {
  constexpr std::string_view kBlank{" \0", 2};
  *out = 0;
  const std::size_t first = field.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return true;
  field = CString(field.substr(first, field.find_last_not_of(kBlank) - first + 1));
  std::uint64_t value = 0;
  const char* end = field.data() + field.size();
  const auto [stop, error] = std::from_chars(field.data(), end, value, 8);
  *out = static_cast<std::int64_t>(value);
  return error == std::errc() && stop == end;
}

bool ParseNumeric(std::string_view field, std::int64_t* out) {
  if (field.empty() || (static_cast<std::uint8_t>(field[0]) & 0x80) == 0) {
    return ParseOctal(field, out);
  }
  *out = 0;
  // A negative number is read inverted: -a - 1 == ~a.
  const std::uint8_t inversion = (static_cast<std::uint8_t>(field[0]) & 0x40) != 0 ? 0xff : 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    unsigned int byte = static_cast<std::uint8_t>(field[i]) ^ inversion;
    if (i == 0) byte &= 0x7f;
    if (value >> 56 != 0) return false;
    value = value << 8 | byte;
  }
  if (value >> 63 != 0) return false;
  *out = static_cast<std::int64_t>(inversion != 0 ? ~value : value);
  return true;
}

bool ParseDecimal(std::string_view text, std::int64_t* out) {
  *out = 0;
  const char* end = text.data() + text.size();
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return false;
  }
  const auto [stop, error] = std::from_chars(text.data(), end, *out, 10);
  return error == std::errc() && stop == end;
}

bool ParsePaxTime(std::string_view text, TarTime* out) {
  const std::size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  *out = {};
  if (!ParseDecimal(whole, &out->seconds)) return false;
  std::string_view fraction;
  if (dot != std::string_view::npos) fraction = text.substr(dot + 1);
  std::int32_t nanoseconds = 0;
  std::int32_t weight = 100'000'000;
  for (const char c : fraction) {
    if (c < '0' || c > '9') return false;
    nanoseconds += (c - '0') * weight;
    weight /= 10;
  }
  if (whole.starts_with('-') && nanoseconds > 0) {
    // Wraps as Go's does for the smallest number, so that it is taken for a time out of range.
    out->seconds = static_cast<std::int64_t>(static_cast<std::uint64_t>(out->seconds) - 1);
    nanoseconds = 1'000'000'000 - nanoseconds;
  }
  out->nanoseconds = nanoseconds;
  return true;
}

absl::StatusOr<PaxRecords> ParsePaxRecords(std::string_view data) {
  PaxRecords records;
  std::string sparse_map;
  std::size_t sparse_numbers = 0;
  while (!data.empty()) {
    std::string_view key;
    std::string_view value;
    if (!TakePaxRecord(&data, &key, &value)) {
      return absl::InvalidArgumentError("a pax record is malformed");
    }
    if (key == kSparseOffset || key == kSparseNumBytes) {
      const bool offset_is_next = sparse_numbers % 2 == 0;
      if (offset_is_next != (key == kSparseOffset) || value.find(',') != std::string_view::npos) {
        return absl::InvalidArgumentError("pax records of a sparse map are out of order");
      }
      if (sparse_numbers++ > 0) sparse_map += ',';
      sparse_map += value;
    } else {
      records.insert_or_assign(std::string(key), std::string(value));
    }
  }
  if (sparse_numbers > 0) records.insert_or_assign("GNU.sparse.map", std::move(sparse_map));
  return records;
}

}  // namespace eagle::apply
