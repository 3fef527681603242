#include "plugin/store_files.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "plugin/folder.h"

namespace eagle::plugin {
namespace {

constexpr std::int64_t kCopyStepBytes = 1 << 20;
constexpr unsigned int kReadOnlyMode = 0444;
constexpr unsigned int kFolderMode = 0755;

std::string_view Advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free space there, for instance by removing images";
    case EROFS:
      return "; mount it read-write again, and look at the kernel's log for why it is not";
    case EACCES:
    case EPERM:
      return "; the folder must belong to the user that the plugin runs as (root), and be writable";
    case EIO:
      return "; look at the kernel's log, the disk may be failing";
    case EMFILE:
    case ENFILE:
      return "; raise the limit of open files";
    default:
      return "";
  }
}

absl::Status Checked(int result, std::string_view what, const std::string& path) {
  return result == 0 ? absl::OkStatus() : StoreFiles::Error(errno, what, path);
}

bool IsFolder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

absl::Status StoreFiles::Error(int error, std::string_view what, const std::string& path) {
  const absl::Status status = base::ErrnoError(error, fmt::format("{} {}", what, path));
  return absl::Status(status.code(), fmt::format("{}{}", base::Message(status), Advice(error)));
}

absl::StatusOr<base::UniqueFd> StoreFiles::Open(const std::string& path, int flags,
                                                unsigned int mode) const {
  int fd;
  do {
    fd = system_->Open(path, flags, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return Error(errno, "open", path);
  return base::UniqueFd(fd);
}

absl::Status StoreFiles::Write(int fd, std::string_view data, std::int64_t offset,
                               const std::string& path) const {
  while (!data.empty()) {
    const ssize_t written = system_->Write(fd, data.data(), data.size(), offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return Error(errno, "write", path);
    }
    data.remove_prefix(static_cast<std::size_t>(written));
    offset += written;
  }
  return absl::OkStatus();
}

absl::Status StoreFiles::Truncate(int fd, std::int64_t size_bytes, const std::string& path) const {
  return Checked(system_->Truncate(fd, size_bytes), "truncate", path);
}

absl::Status StoreFiles::Sync(int fd, const std::string& path) const {
  return Checked(system_->Sync(fd), "sync", path);
}

absl::Status StoreFiles::SyncFolder(const std::string& path) const {
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd folder, Open(path, O_RDONLY | O_DIRECTORY));
  return Sync(folder.get(), path);
}

absl::Status StoreFiles::SetReadOnly(int fd, const std::string& path) const {
  return Checked(system_->SetMode(fd, kReadOnlyMode), "chmod", path);
}

absl::Status StoreFiles::WriteSmall(const std::string& path, std::string_view content) const {
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd, Open(path, O_WRONLY | O_CREAT | O_TRUNC));
  return Write(fd.get(), content, 0, path);
}

absl::StatusOr<CopyKind> StoreFiles::Copy(int from, int to, std::int64_t size_bytes,
                                          const std::string& path,
                                          const std::atomic<bool>& cancelled) const {
  struct stat info {};
  if (::fstat(from, &info) == 0 && info.st_size == size_bytes && system_->Clone(from, to) == 0) {
    return CopyKind::kReflink;
  }
  for (std::int64_t at = 0; at < size_bytes;) {
    if (cancelled) return absl::CancelledError("copy: cancelled");
    const auto step = static_cast<std::size_t>(std::min(kCopyStepBytes, size_bytes - at));
    EAGLE_ASSIGN_OR_RETURN(const std::string data, base::ReadAt(from, at, step));
    if (data.empty()) return absl::DataLossError("copy: the file has become shorter");
    EAGLE_RETURN_IF_ERROR(Write(to, data, at, path));
    at += static_cast<std::int64_t>(data.size());
  }
  return CopyKind::kCopy;
}

int StoreFiles::Link(int fd, const std::string& to) const {
  return system_->Link(fd, to) == 0 ? 0 : errno;
}

absl::Status StoreFiles::Rename(const std::string& from, const std::string& to) const {
  return Checked(system_->Rename(from, to, 0), "rename to", to);
}

absl::Status StoreFiles::RenameToNew(const std::string& from, const std::string& to) const {
  if (system_->Rename(from, to, RENAME_NOREPLACE) == 0) return absl::OkStatus();
  if (errno != EINVAL && errno != ENOSYS) return Error(errno, "rename to", to);
  // Where this is not supported, a hard link gives the same promise.
  const base::UniqueFd fd(::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Error(errno, "open", from);
  if (const int error = Link(fd.get(), to); error != 0) return Error(error, "link", to);
  return Remove(from);
}

absl::Status StoreFiles::Remove(const std::string& path) const {
  if (system_->Unlink(path) == 0 || errno == ENOENT) return absl::OkStatus();
  return Error(errno, "remove", path);
}

absl::Status StoreFiles::RemoveTree(const std::string& path) const {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return Remove(path);
  std::vector<std::string> entries;
  EAGLE_RETURN_IF_ERROR(ForEachEntry(path, [&](int, const char* name) {
    entries.push_back(fmt::format("{}/{}", path, name));
    return true;
  }));
  for (const std::string& entry : entries) EAGLE_RETURN_IF_ERROR(RemoveTree(entry));
  return Checked(system_->RemoveFolder(path), "remove", path);
}

absl::Status StoreFiles::MakeFolder(const std::string& path) const {
  return Checked(system_->MakeFolder(path, kFolderMode), "mkdir", path);
}

absl::Status StoreFiles::MakeFolders(const std::string& path) const {
  if (path.empty() || IsFolder(path)) return absl::OkStatus();
  const std::string parent = std::filesystem::path(path).parent_path().string();
  EAGLE_RETURN_IF_ERROR(MakeFolders(parent));
  EAGLE_RETURN_IF_ERROR(MakeFolder(path));
  return SyncFolder(parent.empty() ? "." : parent);
}

}  // namespace eagle::plugin
