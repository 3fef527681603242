#include "lib/blob/blob_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <vector>

#include "lib/base/file.h"
#include "lib/observe/log.h"

namespace eagle::blob {

std::optional<FileFacts> StatBlobFile(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  FileFacts facts;
  facts.size_bytes = info.st_size;
  facts.disk_bytes = info.st_blocks * std::int64_t{512};
  facts.links = info.st_nlink;
  facts.read_only = (info.st_mode & 0222) == 0;
  return facts;
}

absl::StatusOr<std::vector<base::Digest>> ListBlobFiles(const std::string& directory) {
  std::vector<base::Digest> digests;
  std::error_code error;
  std::filesystem::directory_iterator it(directory, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const auto type = it->symlink_status(ignored).type();
    const std::string name = it->path().filename().string();
    if (auto digest = base::Digest::FromHex(name);
        digest.ok() && type == std::filesystem::file_type::regular) {
      digests.push_back(*digest);
    } else if (type == std::filesystem::file_type::directory) {
      observe::Warn("stray_folder_in_blobs", "path", it->path().string());
    } else {
      EAGLE_RETURN_IF_ERROR(UnlinkBlobFile(it->path().string()));
    }
  }
  if (error) return base::ErrnoError(error.value(), fmt::format("list {}", directory));
  return digests;
}

absl::StatusOr<base::Digest> HashBlobFile(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenFile(path, O_RDONLY | O_NOFOLLOW));
  std::vector<char> buffer(1 << 20);
  base::Sha256 hasher;
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::ErrnoError(errno, fmt::format("read {}", path));
    if (n == 0) return hasher.Current();
    hasher.Update(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

absl::Status UnlinkBlobFile(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::ErrnoError(errno, fmt::format("unlink {}", path));
}

absl::StatusOr<FileSystemSpace> Space(const std::string& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) {
    return base::ErrnoError(errno, fmt::format("statvfs {}", directory));
  }
  return FileSystemSpace{.total_bytes = static_cast<std::int64_t>(info.f_blocks * info.f_frsize),
                         .free_bytes = static_cast<std::int64_t>(info.f_bavail * info.f_frsize)};
}

}  // namespace eagle::blob
