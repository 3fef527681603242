#include "plugin/hand_over.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/file.h"

namespace eagle::plugin {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::chrono::milliseconds kLeaseRetry{5};
constexpr unsigned int kHandedOverMode = 0444;

absl::StatusOr<base::Digest> HashFile(int fd, std::int64_t size_bytes,
                                      const std::atomic<bool>& cancelled) {
  base::Sha256 hasher;
  std::vector<char> buffer(kReadBytes);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  for (std::int64_t at = 0;;) {
    if (cancelled) return absl::CancelledError("hand-over: cancelled");
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::ErrnoError(errno, "hand-over: read");
    if (n == 0) {
      if (at == size_bytes) return hasher.Current();
      return absl::FailedPreconditionError("hand-over: the file changed its size");
    }
    hasher.Update({buffer.data(), static_cast<std::size_t>(n)});
    at += n;
  }
}

// Owner and mode of an inode with other names are not changed: it could be any file that somebody
// linked into the cache. One that we have handed over before has the right ones already.
absl::Status TakeInode(int fd, const struct stat& info) {
  if (info.st_uid == ::geteuid() && (info.st_mode & 07777) == kHandedOverMode) {
    return absl::OkStatus();
  }
  if (info.st_nlink > 1) {
    return absl::FailedPreconditionError("hand-over: a link to a file that is not from the cache");
  }
  if (::fchown(fd, ::geteuid(), ::getegid()) != 0)
    return base::ErrnoError(errno, "hand-over: chown");
  if (::fchmod(fd, kHandedOverMode) != 0) return base::ErrnoError(errno, "hand-over: chmod");
  return absl::OkStatus();
}

}  // namespace

HandOver::HandOver(Options options) : options_(std::move(options)) {
  std::signal(SIGIO, SIG_IGN);
}

absl::Status HandOver::ProveNoWriter(int fd, const std::atomic<bool>& cancelled) const {
  // The kernel grants a read lease only while no descriptor and no mapping can write to the inode.
  const auto give_up = std::chrono::steady_clock::now() + options_.writer_patience;
  while (::fcntl(fd, F_SETLEASE, F_RDLCK) != 0) {
    if (errno != EAGAIN) return base::ErrnoError(errno, "hand-over: lease");
    if (cancelled) return absl::CancelledError("hand-over: cancelled");
    if (std::chrono::steady_clock::now() > give_up) {
      return absl::FailedPreconditionError(
          "hand-over: somebody still holds the file open for writing");
    }
    std::this_thread::sleep_for(kLeaseRetry);
  }
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const VerifiedFile>> HandOver::Take(
    const base::Digest& digest, std::int64_t size_bytes, const std::atomic<bool>& cancelled) const {
  // The path is made of the digest alone, and no link is followed in its last two parts.
  EAGLE_ASSIGN_OR_RETURN(
      const base::UniqueFd folder,
      base::OpenFile(options_.cache_dir + "/blobs", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  const std::string name = digest.hex();
  base::UniqueFd fd(::openat(folder.get(), name.c_str(),
                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ELOOP) return absl::FailedPreconditionError("hand-over: a symbolic link");
    return base::ErrnoError(errno, fmt::format("hand-over: open {}", name));
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return base::ErrnoError(errno, "hand-over: stat");
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError("hand-over: not a regular file");
  if (info.st_size != size_bytes) {
    return absl::FailedPreconditionError(
        fmt::format("hand-over: {} bytes, expected {}", info.st_size, size_bytes));
  }
  EAGLE_RETURN_IF_ERROR(TakeInode(fd.get(), info));
  EAGLE_RETURN_IF_ERROR(ProveNoWriter(fd.get(), cancelled));
  EAGLE_ASSIGN_OR_RETURN(const base::Digest actual, HashFile(fd.get(), size_bytes, cancelled));
  if (actual != digest) {
    return absl::DataLossError(
        fmt::format("hand-over: {} has the bytes of {}", digest.str(), actual.str()));
  }
  auto file = std::make_shared<VerifiedFile>();
  file->fd = std::move(fd);
  file->digest = digest;
  file->size_bytes = size_bytes;
  return file;
}

}  // namespace eagle::plugin
