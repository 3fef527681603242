#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::swarm {

/// What is kept of an unfinished download. The pieces are those whose bytes had been written to the
/// file (hashed by reading the file back) when the state was made. That outlives the process, as
/// the page cache is the kernel's, but not the machine: after a reboot the file is hashed again.
struct ResumeState {
  std::string boot_id;
  /// The file that the pieces are in: another file of that name is not resumed.
  std::uint64_t inode = 0;
  std::int64_t birth_ns = 0;
  std::string bits;  // PieceMap::Bits()
  std::int64_t from_peers = 0;
  std::int64_t from_seeders = 0;
};

std::string EncodeResume(const ResumeState& state);
/// INVALID_ARGUMENT for anything that EncodeResume() did not make.
absl::StatusOr<ResumeState> DecodeResume(std::string_view text);

/// Id of this boot of the machine; "" when the kernel does not tell.
std::string BootId();

struct FileIdentity {
  std::uint64_t inode = 0;
  std::int64_t birth_ns = 0;
  std::uint64_t links = 0;
  std::int64_t size_bytes = 0;
  bool regular = false;
};
/// Does not follow a symbolic link.
absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path);

enum class StartFrom {
  kNothing,    // there is no file
  kPieces,     // the pieces of the resume state are in the file
  kFileCheck,  // the file is of an earlier boot: every piece has to be hashed
};

/// Decides from what a download into `path` starts, and makes way for it: a file that is not the
/// resume state's, or that has a second name (it may be a committed blob of the content store), is
/// unlinked, never written to. `resume` is nullptr without a state.
absl::StatusOr<StartFrom> PrepareFile(const std::string& path, std::int64_t size_bytes,
                                      const ResumeState* resume, const std::string& boot_id);

/// Makes a finished file durable and read-only: fsync, mode 0444, fsync of its folder. `fd` is open
/// for reading on `directory`'s file. FAILED_PRECONDITION when it is not `size_bytes` long.
absl::Status SealFile(int fd, const std::string& directory, std::int64_t size_bytes);

}  // namespace eagle::swarm
