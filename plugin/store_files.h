#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "plugin/file_system.h"

namespace eagle::plugin {

enum class CopyKind { kReflink, kCopy };

/// What the store does to files, with errors that say what was tried, on which path, and what to do
/// about it (RESOURCE_EXHAUSTED for a full disk, PERMISSION_DENIED for a read-only one or wrong
/// permissions, INTERNAL for a broken one). Thread-safe; everything blocks on the disk.
class StoreFiles {
 public:
  explicit StoreFiles(std::unique_ptr<FileSystem> system) : system_(std::move(system)) {}

  absl::StatusOr<base::UniqueFd> Open(const std::string& path, int flags,
                                      unsigned int mode = 0644) const;
  /// All of `data`, or an error.
  absl::Status Write(int fd, std::string_view data, std::int64_t offset,
                     const std::string& path) const;
  absl::Status Truncate(int fd, std::int64_t size_bytes, const std::string& path) const;
  absl::Status Sync(int fd, const std::string& path) const;
  /// Makes the names in a folder durable.
  absl::Status SyncFolder(const std::string& path) const;
  absl::Status SetReadOnly(int fd, const std::string& path) const;
  /// Best effort: the times are for people only.
  void Touch(int fd) const { (void)system_->SetTimesToNow(fd); }

  /// A whole small file, without a sync.
  absl::Status WriteSmall(const std::string& path, std::string_view content) const;
  /// Fills the empty file `to` with the first `size_bytes` of `from`: as a reflink where the file
  /// system has it (only for a whole file), else byte by byte. CANCELLED soon after `cancelled` is
  /// set.
  absl::StatusOr<CopyKind> Copy(int from, int to, std::int64_t size_bytes, const std::string& path,
                                const std::atomic<bool>& cancelled) const;

  /// 0 or errno, as the caller may have another way; if not, Error() makes a status of it.
  [[nodiscard]] int Link(int fd, const std::string& to) const;
  static absl::Status Error(int error, std::string_view what, const std::string& path);
  absl::Status Rename(const std::string& from, const std::string& to) const;
  /// ALREADY_EXISTS, and nothing changes, when `to` is there.
  absl::Status RenameToNew(const std::string& from, const std::string& to) const;
  /// What is not there is no error.
  absl::Status Remove(const std::string& path) const;
  absl::Status RemoveTree(const std::string& path) const;

  absl::Status MakeFolder(const std::string& path) const;
  /// mkdir -p, and what it made is durable. An existing folder is no error.
  absl::Status MakeFolders(const std::string& path) const;

 private:
  const std::unique_ptr<FileSystem> system_;
};

}  // namespace eagle::plugin
