#include "plugin/apply/tar_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace eagle::apply {
namespace {

bool IsAllZero(std::string_view block) {
  return block.find_first_not_of('\0') == std::string_view::npos;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
}

// Entries of these types have no data, whatever their size says.
bool IsHeaderOnly(char type) {
  return type >= kTypeHardLink && type <= kTypeFifo;
}

bool ChecksumMatches(std::string_view block) {
  constexpr std::size_t kField = 148;
  constexpr std::size_t kFieldBytes = 8;
  std::int64_t expected = 0;
  if (!ParseOctal(block.substr(kField, kFieldBytes), &expected)) return false;
  // POSIX sums unsigned bytes, old SunOS signed ones.
  std::int64_t unsigned_sum = kFieldBytes * ' ';
  std::int64_t signed_sum = unsigned_sum;
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i >= kField && i < kField + kFieldBytes) continue;
    unsigned_sum += static_cast<std::uint8_t>(block[i]);
    signed_sum += static_cast<std::int8_t>(block[i]);
  }
  return expected == unsigned_sum || expected == signed_sum;
}

void Number(std::string_view field, std::int64_t* out, bool* good) {
  if (!ParseNumeric(field, out)) *good = false;
}

std::string WithPrefix(std::string_view prefix, std::string_view name) {
  if (prefix.empty()) return std::string(name);
  return fmt::format("{}/{}", prefix, name);
}

}  // namespace

absl::Status TarReader::Damaged(std::string_view what) const {
  return absl::InvalidArgumentError(fmt::format(
      "tar header at offset {}: {}; the layer is no valid archive", header_offset_, what));
}

absl::Status TarReader::Truncated() const {
  return absl::DataLossError(
      fmt::format("the archive ends in the middle of an entry, at offset {}", offset_));
}

absl::StatusOr<bool> TarReader::Fill() {
  if (input_.empty()) {
    EAGLE_ASSIGN_OR_RETURN(input_, source_.Next());
  }
  return !input_.empty();
}

absl::StatusOr<std::string_view> TarReader::Take(std::int64_t most) {
  EAGLE_ASSIGN_OR_RETURN(const bool more, Fill());
  if (!more) return std::string_view();
  const auto size = std::min(static_cast<std::uint64_t>(most), std::uint64_t{input_.size()});
  const std::string_view taken = input_.substr(0, size);
  input_.remove_prefix(size);
  offset_ += static_cast<std::int64_t>(size);
  return taken;
}

absl::StatusOr<std::string_view> TarReader::Block() {
  EAGLE_ASSIGN_OR_RETURN(std::string_view part, Take(kBlockBytes));
  if (part.empty() || part.size() == kBlockBytes) return part;
  std::size_t have = 0;
  while (true) {
    std::memcpy(block_.data() + have, part.data(), part.size());
    have += part.size();
    if (have == kBlockBytes) return std::string_view(block_.data(), kBlockBytes);
    EAGLE_ASSIGN_OR_RETURN(part, Take(static_cast<std::int64_t>(kBlockBytes - have)));
    if (part.empty()) return Truncated();
  }
}

// False when the source ends in the padding, which Go takes for the end of the archive.
absl::StatusOr<bool> TarReader::FinishEntry() {
  while (data_left_ > 0) {
    EAGLE_ASSIGN_OR_RETURN(const std::string_view part, Take(data_left_));
    if (part.empty()) return Truncated();
    data_left_ -= static_cast<std::int64_t>(part.size());
  }
  while (padding_ > 0) {
    EAGLE_ASSIGN_OR_RETURN(const std::string_view part, Take(padding_));
    if (part.empty()) return false;
    padding_ -= static_cast<std::int64_t>(part.size());
  }
  sparse_ = false;
  file_offset_ = 0;
  return true;
}

absl::StatusOr<const TarEntry*> TarReader::Next() {
  Meta meta;
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(bool more, FinishEntry());
    if (more) {
      EAGLE_ASSIGN_OR_RETURN(more, ReadHeader());
    }
    if (!more) return nullptr;
    EAGLE_RETURN_IF_ERROR(StartData());
    switch (entry_.type) {
      case kTypePaxHeader:
      case kTypeGlobalHeader: {
        EAGLE_ASSIGN_OR_RETURN(const std::string data, ReadMeta());
        auto pax = ParsePaxRecords(data);
        if (!pax.ok()) return Damaged(base::Message(pax.status()));
        if (entry_.type == kTypePaxHeader) {
          meta.pax = *std::move(pax);
          break;
        }
        EAGLE_RETURN_IF_ERROR(MergePax(*pax));
        return &entry_;
      }
      case kTypeGnuLongName: {
        EAGLE_ASSIGN_OR_RETURN(meta.long_name, ReadMeta());
        break;
      }
      case kTypeGnuLongLink: {
        EAGLE_ASSIGN_OR_RETURN(meta.long_link, ReadMeta());
        break;
      }
      default:
        EAGLE_RETURN_IF_ERROR(FinishHeader(meta));
        return &entry_;
    }
  }
}

// False at the end of the archive: two zero blocks, one, or none.
absl::StatusOr<bool> TarReader::ReadHeader() {
  header_offset_ = offset_;
  EAGLE_ASSIGN_OR_RETURN(std::string_view block, Block());
  if (block.empty()) return false;
  if (IsAllZero(block)) {
    EAGLE_ASSIGN_OR_RETURN(block, Block());
    if (block.empty() || IsAllZero(block)) return false;
    return Damaged("a zero block is followed by data");
  }
  EAGLE_RETURN_IF_ERROR(ParseHeader(block));
  return true;
}

absl::Status TarReader::ParseHeader(std::string_view block) {
  if (!ChecksumMatches(block)) return Damaged("its checksum is wrong");
  bool good = true;
  entry_.type = block[156];
  entry_.name = CString(block.substr(0, 100));
  entry_.link_name = CString(block.substr(157, 100));
  Number(block.substr(124, 12), &entry_.size, &good);
  Number(block.substr(100, 8), &entry_.mode, &good);
  Number(block.substr(108, 8), &entry_.uid, &good);
  Number(block.substr(116, 8), &entry_.gid, &good);
  entry_.mtime = {};
  Number(block.substr(136, 12), &entry_.mtime.seconds, &good);
  entry_.atime.reset();
  entry_.device_major = 0;
  entry_.device_minor = 0;
  entry_.xattrs.clear();

  const std::string_view magic = block.substr(257, 6);
  const bool ustar = magic == std::string_view("ustar\0", 6);
  const bool gnu = magic == "ustar " && block.substr(263, 2) == std::string_view(" \0", 2);
  if (ustar || gnu) {
    Number(block.substr(329, 8), &entry_.device_major, &good);
    Number(block.substr(337, 8), &entry_.device_minor, &good);
  }
  if (ustar && block.substr(508, 4) == std::string_view("tar\0", 4)) {
    ParseStar(block, &good);
  } else if (ustar) {
    entry_.name = WithPrefix(CString(block.substr(345, 155)), entry_.name);
  } else if (gnu) {
    ParseGnu(block);
  }
  return good ? absl::OkStatus() : Damaged("a number in it is malformed");
}

void TarReader::ParseStar(std::string_view block, bool* good) {
  entry_.name = WithPrefix(CString(block.substr(345, 131)), entry_.name);
  entry_.atime.emplace();
  Number(block.substr(476, 12), &entry_.atime->seconds, good);
  std::int64_t ctime = 0;
  Number(block.substr(488, 12), &ctime, good);
}

void TarReader::ParseGnu(std::string_view block) {
  const std::string_view atime = block.substr(345, 12);
  const std::string_view ctime = block.substr(357, 12);
  bool good = true;
  std::int64_t seconds = 0;
  std::int64_t ignored = 0;
  if (atime[0] != 0) Number(atime, &seconds, &good);
  if (ctime[0] != 0) Number(ctime, &ignored, &good);
  if (good) {
    if (atime[0] != 0) entry_.atime = TarTime{seconds, 0};
    return;
  }
  // Writers of Go before 1.8 put the prefix of ustar here.
  const std::string_view prefix = CString(block.substr(345, 155));
  if (IsAscii(prefix)) entry_.name = WithPrefix(prefix, entry_.name);
}

absl::StatusOr<std::string> TarReader::ReadMeta() {
  if (data_left_ > kMaxMetaBytes) {
    return Damaged(fmt::format("a name or pax record of {} bytes is too long", data_left_));
  }
  std::string data;
  while (data_left_ > 0) {
    EAGLE_ASSIGN_OR_RETURN(const std::string_view part, Take(data_left_));
    if (part.empty()) return Truncated();
    data += part;
    data_left_ -= static_cast<std::int64_t>(part.size());
  }
  return data;
}

absl::Status TarReader::MergePax(const PaxRecords& pax) {
  constexpr std::string_view kXattr = "SCHILY.xattr.";
  for (const auto& [key, value] : pax) {
    if (std::string_view(key).starts_with(kXattr)) {
      entry_.xattrs.insert_or_assign(key.substr(kXattr.size()), value);
    }
    if (value.empty()) continue;
    bool good = true;
    TarTime ctime;
    if (key == "path") {
      entry_.name = value;
    } else if (key == "linkpath") {
      entry_.link_name = value;
    } else if (key == "uid") {
      good = ParseDecimal(value, &entry_.uid);
    } else if (key == "gid") {
      good = ParseDecimal(value, &entry_.gid);
    } else if (key == "size") {
      good = ParseDecimal(value, &entry_.size);
    } else if (key == "mtime") {
      good = ParsePaxTime(value, &entry_.mtime);
    } else if (key == "atime") {
      good = ParsePaxTime(value, &entry_.atime.emplace());
    } else if (key == "ctime") {
      good = ParsePaxTime(value, &ctime);
    }
    if (!good) return Damaged(fmt::format("its pax record \"{}\" is malformed", key));
  }
  return absl::OkStatus();
}

absl::Status TarReader::FinishHeader(const Meta& meta) {
  EAGLE_RETURN_IF_ERROR(MergePax(meta.pax));
  const std::string_view long_name = CString(meta.long_name);
  if (!long_name.empty()) entry_.name = long_name;
  const std::string_view long_link = CString(meta.long_link);
  if (!long_link.empty()) entry_.link_name = long_link;
  if (entry_.type == '\0') {
    // Archives older than POSIX mark directories by the slash alone.
    entry_.type = entry_.name.ends_with('/') ? kTypeDirectory : kTypeFile;
  }
  EAGLE_RETURN_IF_ERROR(StartData());
  if (entry_.type == kTypeGnuSparse) {
    return absl::UnimplementedError(
        "the layer has a sparse file in GNU's old format; use the pax format to pack it");
  }
  return StartSparse(meta.pax);
}

absl::Status TarReader::StartData() {
  if (entry_.size < 0) {
    if (!IsHeaderOnly(entry_.type)) return Damaged("its size is negative");
  }
  data_left_ = IsHeaderOnly(entry_.type) ? 0 : entry_.size;
  padding_ = static_cast<std::int64_t>(-static_cast<std::uint64_t>(data_left_) & (kBlockBytes - 1));
  return absl::OkStatus();
}

absl::Status TarReader::StartSparse(const PaxRecords& pax) {
  auto sparse = ReadPaxSparse(pax);
  if (!sparse.ok()) return Damaged(base::Message(sparse.status()));
  if (!sparse->has_value()) return absl::OkStatus();
  PaxSparse& found = **sparse;
  if (IsHeaderOnly(entry_.type)) return Damaged("a sparse entry is no file");
  if (!found.name.empty()) entry_.name = std::move(found.name);
  if (found.size) entry_.size = *found.size;
  if (found.map_in_data) {
    SparseMapReader reader;
    bool complete = false;
    while (!complete) {
      if (data_left_ < static_cast<std::int64_t>(kBlockBytes)) return Truncated();
      EAGLE_ASSIGN_OR_RETURN(const std::string_view block, Block());
      if (block.empty()) return Truncated();
      data_left_ -= static_cast<std::int64_t>(kBlockBytes);
      auto added = reader.Add(block);
      if (!added.ok()) return Damaged(base::Message(added.status()));
      complete = *added;
    }
    found.map = reader.Take();
  }
  fragments_ = std::move(found.map);
  fragment_ = 0;
  sparse_ = true;
  if (absl::Status status = NormalizeSparseMap(entry_.size, &fragments_); !status.ok()) {
    return Damaged(base::Message(status));
  }
  return absl::OkStatus();
}

absl::StatusOr<TarReader::Piece> TarReader::Read() {
  if (sparse_) return ReadSparse();
  if (data_left_ == 0) return Piece{file_offset_, {}};
  EAGLE_ASSIGN_OR_RETURN(const std::string_view data, Take(data_left_));
  if (data.empty()) return Truncated();
  const Piece piece{file_offset_, data};
  data_left_ -= static_cast<std::int64_t>(data.size());
  file_offset_ += static_cast<std::int64_t>(data.size());
  return piece;
}

absl::StatusOr<TarReader::Piece> TarReader::ReadSparse() {
  if (fragment_ == fragments_.size()) {
    if (data_left_ > 0) return Damaged("a sparse file has more data than its map says");
    return Piece{entry_.size, {}};
  }
  SparseFragment& fragment = fragments_[fragment_];
  if (data_left_ == 0) return Damaged("a sparse file has less data than its map says");
  EAGLE_ASSIGN_OR_RETURN(const std::string_view data, Take(std::min(data_left_, fragment.length)));
  if (data.empty()) return Truncated();
  const Piece piece{fragment.offset, data};
  const auto size = static_cast<std::int64_t>(data.size());
  data_left_ -= size;
  fragment.offset += size;
  fragment.length -= size;
  if (fragment.length == 0) ++fragment_;
  return piece;
}

}  // namespace eagle::apply
