#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "plugin/apply/byte_source.h"
#include "plugin/apply/tar_entry.h"
#include "plugin/apply/tar_fields.h"
#include "plugin/apply/tar_sparse.h"

namespace eagle::apply {

/// Reads an archive as Go's archive/tar does, since containerd's applier is the measure: V7, ustar,
/// pax, GNU and star headers, long names and links, numbers in base 256, sparse files in pax form.
/// Strict: a bad checksum, number or record ends it with INVALID_ARGUMENT, a truncated entry with
/// DATA_LOSS. An archive may end at a block edge without the two zero blocks. GNU's old sparse type
/// is UNIMPLEMENTED (containerd's applier refuses it too).
///
/// Holds at most some MiB whatever the input. Not thread-safe; the source must outlive it.
class TarReader {
 public:
  /// Bytes of the current entry and where in the file they go; no bytes at the end.
  struct Piece {
    std::int64_t offset = 0;
    std::string_view data;
  };

  explicit TarReader(ByteSource& source) : source_(source) {}

  /// Skips what is left of the current entry and reads the next; null at the end of the archive.
  /// The entry is valid until the next call.
  absl::StatusOr<const TarEntry*> Next();

  /// The next bytes of the current entry, valid until the next call of anything. Offsets ascend;
  /// what they leave out is zero.
  absl::StatusOr<Piece> Read();

  /// Bytes taken from the source so far.
  [[nodiscard]] std::int64_t offset() const { return offset_; }

 private:
  static constexpr std::size_t kBlockBytes = 512;

  // What precedes an entry and belongs to it.
  struct Meta {
    PaxRecords pax;
    std::string long_name;
    std::string long_link;
  };

  // False at the end of the source.
  absl::StatusOr<bool> Fill();
  // Exactly a block; empty when the source ended before its first byte.
  absl::StatusOr<std::string_view> Block();
  absl::StatusOr<bool> FinishEntry();
  absl::StatusOr<bool> ReadHeader();
  absl::Status ParseHeader(std::string_view block);
  void ParseStar(std::string_view block, bool* good);
  void ParseGnu(std::string_view block);
  absl::StatusOr<std::string> ReadMeta();
  absl::Status MergePax(const PaxRecords& pax);
  absl::Status FinishHeader(const Meta& meta);
  absl::Status StartData();
  absl::Status StartSparse(const PaxRecords& pax);
  absl::StatusOr<Piece> ReadSparse();
  absl::StatusOr<std::string_view> Take(std::int64_t most);
  [[nodiscard]] absl::Status Damaged(std::string_view what) const;
  [[nodiscard]] absl::Status Truncated() const;

  ByteSource& source_;
  std::string_view input_;
  std::int64_t offset_ = 0;
  std::int64_t header_offset_ = 0;
  std::array<char, kBlockBytes> block_;

  TarEntry entry_;
  // Bytes of the entry's data, and of the padding after it, that are still in the source.
  std::int64_t data_left_ = 0;
  std::int64_t padding_ = 0;
  std::int64_t file_offset_ = 0;
  bool sparse_ = false;
  std::vector<SparseFragment> fragments_;
  std::size_t fragment_ = 0;
};

}  // namespace eagle::apply
