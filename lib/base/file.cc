#include "lib/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace eagle::base {

absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags, unsigned int mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoError(errno, fmt::format("open {}", path));
  return UniqueFd(fd);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, std::int64_t max_bytes) {
  EAGLE_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  auto data = ReadAt(fd.get(), 0, static_cast<std::size_t>(max_bytes) + 1);
  if (!data.ok()) return Annotate(data.status(), fmt::format("read {}", path));
  if (static_cast<std::int64_t>(data->size()) > max_bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("{} is larger than the {} bytes it may have", path, max_bytes));
  }
  return data;
}

absl::Status WriteAllAt(int fd, std::string_view data, std::int64_t offset) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), offset);
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoError(errno, "write");
    }
    data.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAt(int fd, std::int64_t offset, std::size_t size) {
  constexpr std::size_t kStep = 1 << 20;
  std::string out;
  while (out.size() < size) {
    const std::size_t have = out.size();
    const std::size_t step = std::min(kStep, size - have);
    out.resize(have + step);
    ssize_t n;
    do {
      n = ::pread(fd, out.data() + have, step, offset + static_cast<std::int64_t>(have));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return ErrnoError(errno, "read");
    out.resize(have + static_cast<std::size_t>(n));
    if (n == 0) break;
  }
  return out;
}

absl::Status WriteFileAtomic(const std::string& path, std::string_view data, unsigned int mode) {
  const std::string temporary = path + ".tmp";
  {
    EAGLE_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode));
    EAGLE_RETURN_IF_ERROR(WriteAllAt(fd.get(), data, 0));
    if (::fsync(fd.get()) != 0) return ErrnoError(errno, fmt::format("fsync {}", temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, fmt::format("rename {} to {}", temporary, path));
  }
  return SyncDirectory(std::filesystem::path(path).parent_path().string());
}

absl::Status MakeDirectories(const std::string& path, unsigned int mode) {
  if (::mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  if (errno == ENOENT) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    if (parent.empty() || parent == path) return ErrnoError(ENOENT, fmt::format("mkdir {}", path));
    EAGLE_RETURN_IF_ERROR(MakeDirectories(parent, mode));
    if (::mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  }
  const int error = errno;
  struct stat info {};
  if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return absl::OkStatus();
  }
  return ErrnoError(error == EEXIST ? ENOTDIR : error, fmt::format("mkdir {}", path));
}

absl::Status SyncDirectory(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path.empty() ? "." : path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return ErrnoError(errno, fmt::format("fsync {}", path));
  return absl::OkStatus();
}

}  // namespace eagle::base
