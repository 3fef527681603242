#include "plugin/content_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
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

std::int64_t ChangedAt(const struct stat& info) {
  return std::chrono::nanoseconds(std::chrono::seconds(info.st_ctim.tv_sec)).count() +
         info.st_ctim.tv_nsec;
}

absl::Status NotFound(const BlobName& name) {
  return absl::NotFoundError(fmt::format("content {}: not found", name.str()));
}

}  // namespace

ContentStore::ContentStore(std::string root, std::unique_ptr<FileSystem> system)
    : root_(std::move(root)), files_(std::move(system)), open_blobs_(kOpenBlobs) {}

absl::StatusOr<std::unique_ptr<ContentStore>> ContentStore::Open(
    const std::string& root, std::unique_ptr<FileSystem> system) {
  std::unique_ptr<ContentStore> store(new ContentStore(root, std::move(system)));
  EAGLE_RETURN_IF_ERROR(store->files_.MakeFolders(root + "/blobs/sha256"));
  EAGLE_RETURN_IF_ERROR(store->files_.MakeFolders(root + "/ingest"));
  // Also those that an earlier start made and did not live to sync.
  EAGLE_RETURN_IF_ERROR(store->files_.SyncFolder(root));
  EAGLE_RETURN_IF_ERROR(store->files_.SyncFolder(root + "/blobs"));
  EAGLE_RETURN_IF_ERROR(store->Lock());
  return store;
}

absl::Status ContentStore::Lock() {
  EAGLE_ASSIGN_OR_RETURN(root_lock_, base::OpenFile(root_, O_RDONLY | O_DIRECTORY));
  const auto give_up = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(root_lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return base::ErrnoError(errno, fmt::format("lock {}", root_));
    }
    if (std::chrono::steady_clock::now() > give_up) {
      return absl::UnavailableError(fmt::format(
          "root: another process serves {}; stop it, or give this one a root of its own", root_));
    }
    std::this_thread::sleep_for(kLockRetry);
  }
  return absl::OkStatus();
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
  const absl::Status status = files_.Remove(PathOf(name));
  open_blobs_.Forget(name);
  return status;
}

absl::StatusOr<std::shared_ptr<const OpenBlob>> ContentStore::OpenForRead(const BlobName& name) {
  if (auto blob = FindOpen(name)) return blob;
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
  blob->changed_at_ns = ChangedAt(info);
  open_blobs_.Add(name, blob, generation);
  return blob;
}

std::shared_ptr<const OpenBlob> ContentStore::FindOpen(const BlobName& name) {
  auto blob = open_blobs_.Find(name);
  if (blob == nullptr) return nullptr;
  // Somebody may have deleted, replaced or cut the file without us.
  struct stat info {};
  if (::fstat(blob->fd.get(), &info) == 0 && ChangedAt(info) == blob->changed_at_ns) return blob;
  open_blobs_.Forget(name);
  return nullptr;
}

absl::Status ContentStore::Publish(const std::string& file, const BlobName& name) {
  const std::string path = PathOf(name);
  if (absl::Status status = files_.RenameToNew(file, path); !status.ok()) {
    if (!absl::IsAlreadyExists(status)) return status;
    return absl::AlreadyExistsError(fmt::format("content {}: already exists", name.str()));
  }
  absl::Status synced = files_.SyncFolder(fmt::format("{}/blobs/{}", root_, name.algorithm()));
  // Nobody has been told of it: a later commit must not find a blob that may not last.
  if (!synced.ok()) (void)files_.RenameToNew(path, file);
  return synced;
}

}  // namespace eagle::plugin
