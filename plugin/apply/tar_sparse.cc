#include "plugin/apply/tar_sparse.h"

#include <limits>

namespace eagle::apply {
namespace {

// Keys of pax records; see the GNU tar manual.
constexpr std::string_view kMajor = "GNU.sparse.major";
constexpr std::string_view kMinor = "GNU.sparse.minor";
constexpr std::string_view kMap = "GNU.sparse.map";
constexpr std::string_view kName = "GNU.sparse.name";
constexpr std::string_view kSize = "GNU.sparse.size";
constexpr std::string_view kRealSize = "GNU.sparse.realsize";
constexpr std::string_view kNumBlocks = "GNU.sparse.numblocks";

std::string_view Get(const PaxRecords& records, std::string_view key) {
  const auto found = records.find(key);
  return found == records.end() ? std::string_view() : std::string_view(found->second);
}

absl::Status Malformed() {
  return absl::InvalidArgumentError("the map of a sparse file is malformed");
}

absl::StatusOr<std::vector<SparseFragment>> ParseMap(std::string_view count,
                                                     std::string_view numbers) {
  std::int64_t expected = 0;
  if (!ParseDecimal(count, &expected) || expected < 0) return Malformed();
  std::vector<std::int64_t> values;
  while (!numbers.empty()) {
    const std::size_t comma = numbers.find(',');
    std::int64_t value = 0;
    if (!ParseDecimal(numbers.substr(0, comma), &value)) return Malformed();
    values.push_back(value);
    if (comma == std::string_view::npos) break;
    numbers.remove_prefix(comma + 1);
    if (numbers.empty()) return Malformed();
  }
  if (values.size() % 2 != 0 || static_cast<std::int64_t>(values.size() / 2) != expected) {
    return Malformed();
  }
  std::vector<SparseFragment> map;
  for (std::size_t i = 0; i < values.size(); i += 2) map.push_back({values[i], values[i + 1]});
  return map;
}

}  // namespace

absl::StatusOr<std::optional<PaxSparse>> ReadPaxSparse(const PaxRecords& records) {
  const std::string_view major = Get(records, kMajor);
  const std::string_view minor = Get(records, kMinor);
  PaxSparse sparse;
  if (major == "1" && minor == "0") {
    sparse.map_in_data = true;
  } else if (major == "0" && (minor == "0" || minor == "1")) {
    sparse.map_in_data = false;
  } else if (!major.empty() || !minor.empty() || Get(records, kMap).empty()) {
    return std::nullopt;
  }
  sparse.name = Get(records, kName);
  std::string_view size = Get(records, kSize);
  if (size.empty()) size = Get(records, kRealSize);
  if (!size.empty()) {
    std::int64_t value = 0;
    if (!ParseDecimal(size, &value)) return Malformed();
    sparse.size = value;
  }
  if (!sparse.map_in_data) {
    EAGLE_ASSIGN_OR_RETURN(sparse.map, ParseMap(Get(records, kNumBlocks), Get(records, kMap)));
  }
  return sparse;
}

absl::StatusOr<bool> SparseMapReader::Number(std::int64_t value) {
  if (expected_ < 0) {
    if (value < 0) return Malformed();
    expected_ = value;
  } else if (!offset_) {
    offset_ = value;
  } else {
    map_.push_back({*offset_, value});
    offset_.reset();
  }
  return static_cast<std::int64_t>(map_.size()) == expected_;
}

absl::StatusOr<bool> SparseMapReader::Add(std::string_view block) {
  read_bytes_ += static_cast<std::int64_t>(block.size());
  if (read_bytes_ > kMaxMetaBytes) {
    return absl::InvalidArgumentError("the map of a sparse file is too long");
  }
  while (true) {
    const std::size_t newline = block.find('\n');
    pending_ += block.substr(0, newline);
    if (newline == std::string_view::npos) return false;
    std::int64_t value = 0;
    if (!ParseDecimal(pending_, &value)) return Malformed();
    pending_.clear();
    block.remove_prefix(newline + 1);
    EAGLE_ASSIGN_OR_RETURN(const bool complete, Number(value));
    if (complete) return true;
  }
}

absl::Status NormalizeSparseMap(std::int64_t size, std::vector<SparseFragment>* map) {
  if (size < 0) return Malformed();
  std::int64_t end = 0;
  std::size_t kept = 0;
  for (const SparseFragment fragment : *map) {
    if (fragment.offset < end || fragment.length < 0 ||
        fragment.offset > std::numeric_limits<std::int64_t>::max() - fragment.length ||
        fragment.offset + fragment.length > size) {
      return Malformed();
    }
    end = fragment.offset + fragment.length;
    if (fragment.length > 0) (*map)[kept++] = fragment;
  }
  map->resize(kept);
  return absl::OkStatus();
}

}  // namespace eagle::apply
