#include "plugin/content_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <thread>
#include <utility>

#include "lib/base/file.h"
#include "plugin/folder.h"

namespace eagle::plugin {
namespace {

// Layers being unpacked at once, with room for manifests and configs.
constexpr std::size_t kOpenBlobs = 64;
constexpr std::chrono::milliseconds kLockRetry{20};
constexpr std::chrono::seconds kLockPatience{10};

std::chrono::system_clock::time_point ToTime(const timespec& time) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

BlobInfo ToInfo(BlobName name, const struct stat& info) {
  return {.name = std::move(name),
          .size_bytes = info.st_size,
          .created_at = ToTime(info.st_mtim),
          .updated_at = ToTime(info.st_atim)};
}

absl::Status NotFound(const BlobName& name) {
  return absl::NotFoundError(fmt::format("content {}: not found", name.str()));
}

// Where RENAME_NOREPLACE is not supported, a hard link gives the same promise.
int RenameNoReplace(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::link(from, to) != 0) return -1;
  return ::unlink(from);
}

}  // namespace

ContentStore::ContentStore(std::string root, base::UniqueFd root_lock)
    : root_(std::move(root)), root_lock_(std::move(root_lock)), open_blobs_(kOpenBlobs) {}

absl::StatusOr<std::unique_ptr<ContentStore>> ContentStore::Open(const std::string& root) {
  EAGLE_RETURN_IF_ERROR(base::MakeDirectories(root + "/blobs/sha256"));
  EAGLE_RETURN_IF_ERROR(base::MakeDirectories(root + "/ingest"));
  EAGLE_ASSIGN_OR_RETURN(base::UniqueFd lock, base::OpenFile(root, O_RDONLY | O_DIRECTORY));
  const auto give_up = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return base::ErrnoError(errno, fmt::format("lock {}", root));
    }
    if (std::chrono::steady_clock::now() > give_up) {
      return absl::UnavailableError(fmt::format(
          "root: another process serves {}; stop it, or give this one a root of its own", root));
    }
    std::this_thread::sleep_for(kLockRetry);
  }
  return std::unique_ptr<ContentStore>(new ContentStore(root, std::move(lock)));
}

std::string ContentStore::PathOf(const BlobName& name) const {
  return fmt::format("{}/blobs/{}", root_, name.path());
}

absl::StatusOr<BlobInfo> ContentStore::Info(const BlobName& name) const {
  struct stat info {};
  if (::stat(PathOf(name).c_str(), &info) != 0) {
    if (errno == ENOENT) return NotFound(name);
    return base::ErrnoError(errno, fmt::format("content {}", name.str()));
  }
  return ToInfo(name, info);
}

absl::Status ContentStore::Walk(const std::function<bool(const BlobInfo&)>& visit) const {
  bool go_on = true;
  for (const std::string_view algorithm : BlobName::Algorithms()) {
    if (!go_on) break;
    const absl::Status status = ForEachEntry(
        fmt::format("{}/blobs/{}", root_, algorithm), [&](int folder_fd, const char* entry) {
          auto name = BlobName::Parse(fmt::format("{}:{}", algorithm, entry));
          struct stat info {};
          if (name.ok() && ::fstatat(folder_fd, entry, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
              S_ISREG(info.st_mode)) {
            go_on = visit(ToInfo(*std::move(name), info));
          }
          return go_on;
        });
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return absl::OkStatus();
}

absl::Status ContentStore::Delete(const BlobName& name) {
  const int result = ::unlink(PathOf(name).c_str());
  const int error = errno;
  open_blobs_.Forget(name);
  if (result != 0 && error != ENOENT) {
    return base::ErrnoError(error, fmt::format("delete content {}", name.str()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const OpenBlob>> ContentStore::OpenForRead(const BlobName& name) {
  if (auto blob = open_blobs_.Find(name)) return blob;
  const std::uint64_t generation = open_blobs_.generation();
  auto fd = base::OpenFile(PathOf(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd.ok()) {
    return absl::IsNotFound(fd.status()) ? NotFound(name) : fd.status();
  }
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InternalError(fmt::format("content {}: not a regular file", name.str()));
  }
  auto blob = std::make_shared<OpenBlob>();
  blob->fd = *std::move(fd);
  blob->size_bytes = info.st_size;
  open_blobs_.Add(name, blob, generation);
  return blob;
}

std::shared_ptr<const OpenBlob> ContentStore::FindOpen(const BlobName& name) {
  return open_blobs_.Find(name);
}

absl::Status ContentStore::Publish(const std::string& file, const BlobName& name) {
  if (RenameNoReplace(file.c_str(), PathOf(name).c_str()) != 0) {
    if (errno == EEXIST) {
      return absl::AlreadyExistsError(fmt::format("content {}: already exists", name.str()));
    }
    return base::ErrnoError(errno, fmt::format("commit content {}", name.str()));
  }
  return base::SyncDirectory(fmt::format("{}/blobs/{}", root_, name.algorithm()));
}

}  // namespace eagle::plugin
