#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::blob {

struct FileFacts {
  std::int64_t size_bytes = 0;
  /// Blocks that it occupies.
  std::int64_t disk_bytes = 0;
  /// Names of the inode; unlinking frees the blocks only when this is the last.
  std::uint64_t links = 0;
  bool read_only = false;
};

/// Nothing when there is no regular file (a symbolic link is none).
std::optional<FileFacts> StatBlobFile(const std::string& path);

/// The digests that the files of a blobs folder are named by. A file of another name is not ours
/// and is unlinked; a folder is left alone.
absl::StatusOr<std::vector<base::Digest>> ListBlobFiles(const std::string& directory);

/// SHA-256 of a whole file, in constant memory.
absl::StatusOr<base::Digest> HashBlobFile(const std::string& path);

/// unlink(2); a missing file is no error.
absl::Status UnlinkBlobFile(const std::string& path);

struct FileSystemSpace {
  std::int64_t total_bytes = 0;
  /// For unprivileged users.
  std::int64_t free_bytes = 0;
};

/// As statvfs(3) tells it.
absl::StatusOr<FileSystemSpace> Space(const std::string& directory);

}  // namespace eagle::blob
