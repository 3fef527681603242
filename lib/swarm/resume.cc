#include "lib/swarm/resume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <libtorrent/bdecode.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/entry.hpp>

#include "lib/base/file.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;

constexpr mode_t kPartialMode = 0644;
constexpr mode_t kSealedMode = 0444;
constexpr int kMaxTokens = 100;
constexpr int kMaxDepth = 2;

std::string Text(lt::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

std::string EncodeResume(const ResumeState& state) {
  lt::entry root(lt::entry::dictionary_t);
  root["boot"] = state.boot_id;
  root["inode"] = static_cast<std::int64_t>(state.inode);
  root["birth"] = state.birth_ns;
  root["bits"] = state.bits;
  root["peers"] = state.from_peers;
  root["seeders"] = state.from_seeders;
  std::string text;
  lt::bencode(std::back_inserter(text), root);
  return text;
}

absl::StatusOr<ResumeState> DecodeResume(std::string_view text) {
  lt::error_code error;
  const lt::bdecode_node root = lt::bdecode({text.data(), static_cast<int>(text.size())}, error,
                                            nullptr, kMaxDepth, kMaxTokens);
  if (error || root.type() != lt::bdecode_node::dict_t || !root.dict_find_string("bits") ||
      !root.dict_find_int("inode")) {
    return absl::InvalidArgumentError("resume data are not ours");
  }
  ResumeState state;
  state.boot_id = Text(root.dict_find_string_value("boot"));
  state.inode = static_cast<std::uint64_t>(root.dict_find_int_value("inode"));
  state.birth_ns = root.dict_find_int_value("birth");
  state.bits = Text(root.dict_find_string_value("bits"));
  state.from_peers = root.dict_find_int_value("peers");
  state.from_seeders = root.dict_find_int_value("seeders");
  return state;
}

std::string BootId() {
  return base::ReadFile("/proc/sys/kernel/random/boot_id").value_or("");
}

absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path) {
  struct statx found {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
              &found) != 0) {
    return base::ErrnoError(errno, fmt::format("stat {}", path));
  }
  FileIdentity identity;
  identity.inode = found.stx_ino;
  if ((found.stx_mask & STATX_BTIME) != 0) {
    identity.birth_ns = found.stx_btime.tv_sec * 1'000'000'000 + found.stx_btime.tv_nsec;
  }
  identity.links = found.stx_nlink;
  identity.size_bytes = static_cast<std::int64_t>(found.stx_size);
  identity.regular = S_ISREG(found.stx_mode);
  return identity;
}

absl::StatusOr<StartFrom> PrepareFile(const std::string& path, std::int64_t size_bytes,
                                      const ResumeState* resume, const std::string& boot_id) {
  const auto file = IdentifyFile(path);
  if (absl::IsNotFound(file.status())) return StartFrom::kNothing;
  EAGLE_RETURN_IF_ERROR(file.status());
  const bool same = resume != nullptr && file->regular && file->links == 1 &&
                    file->inode == resume->inode && file->birth_ns == resume->birth_ns &&
                    file->size_bytes <= size_bytes;
  if (same && ::chmod(path.c_str(), kPartialMode) == 0) {
    const bool same_boot = !boot_id.empty() && resume->boot_id == boot_id;
    return same_boot ? StartFrom::kPieces : StartFrom::kFileCheck;
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return base::ErrnoError(errno, fmt::format("make way for the download: unlink {}", path));
  }
  return StartFrom::kNothing;
}

absl::Status SealFile(int fd, const std::string& directory, std::int64_t size_bytes) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) return base::ErrnoError(errno, "stat the finished layer");
  if (found.st_size != size_bytes) {
    return absl::FailedPreconditionError(fmt::format(
        "the finished layer has {} bytes instead of {}; is something else writing in {}?",
        found.st_size, size_bytes, directory));
  }
  // Read-only says "whole": not before the bytes are on the disk.
  if (::fsync(fd) != 0) return base::ErrnoError(errno, "fsync the finished layer");
  if (::fchmod(fd, kSealedMode) != 0) return base::ErrnoError(errno, "chmod the finished layer");
  if (::fsync(fd) != 0) return base::ErrnoError(errno, "fsync the finished layer");
  return base::SyncDirectory(directory);
}

}  // namespace eagle::swarm
