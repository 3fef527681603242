#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace eagle::base {

/// open(2) with O_CLOEXEC; `mode` as for open(2) when O_CREAT is in `flags`.
absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags, unsigned int mode = 0600);

/// A whole file of at most `max_bytes` (RESOURCE_EXHAUSTED beyond).
absl::StatusOr<std::string> ReadFile(const std::string& path, std::int64_t max_bytes = 16 << 20);

/// All of `data` at `offset`, or an error; retries short writes and EINTR.
absl::Status WriteAllAt(int fd, std::string_view data, std::int64_t offset);

/// Up to `size` bytes from `offset`; fewer only at the end of the file.
absl::StatusOr<std::string> ReadAt(int fd, std::int64_t offset, std::size_t size);

/// Replaces `path` so that after a crash either the old or the new content is there, whole:
/// temporary file in the same folder, fsync, rename, fsync of the folder.
absl::Status WriteFileAtomic(const std::string& path, std::string_view data,
                             unsigned int mode = 0644);

/// mkdir -p. An existing folder is no error.
absl::Status MakeDirectories(const std::string& path, unsigned int mode = 0755);

/// fsync of a folder, so that a rename or link in it is durable.
absl::Status SyncDirectory(const std::string& path);

}  // namespace eagle::base
