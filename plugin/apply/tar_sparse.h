#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "plugin/apply/tar_fields.h"

namespace eagle::apply {

/// Where bytes of a sparse file go; all else of it is a hole.
struct SparseFragment {
  std::int64_t offset = 0;
  std::int64_t length = 0;
};

/// What the pax records of an entry say about it being sparse (GNU tar manual, "Sparse formats").
struct PaxSparse {
  /// The map is at the start of the entry's data (format 1.0), not in `map` (0.0 and 0.1).
  bool map_in_data = false;
  std::vector<SparseFragment> map;
  /// Replace those of the entry when given.
  std::string name;
  std::optional<std::int64_t> size;
};

/// None when the entry is not sparse.
absl::StatusOr<std::optional<PaxSparse>> ReadPaxSparse(const PaxRecords& records);

/// Reads a map of format 1.0, block by block: the number of fragments, then offset and length of
/// each, a decimal number a line.
class SparseMapReader {
 public:
  /// Takes the next 512 bytes of data; true when the map is complete.
  absl::StatusOr<bool> Add(std::string_view block);
  /// Valid once Add() has answered true.
  std::vector<SparseFragment> Take() { return std::move(map_); }

 private:
  absl::StatusOr<bool> Number(std::int64_t value);

  std::string pending_;
  std::int64_t read_bytes_ = 0;
  std::int64_t expected_ = -1;
  std::optional<std::int64_t> offset_;
  std::vector<SparseFragment> map_;
};

/// Drops empty fragments of `map` after checking that all are in order, apart, and inside of
/// `size`.
absl::Status NormalizeSparseMap(std::int64_t size, std::vector<SparseFragment>* map);

}  // namespace eagle::apply
