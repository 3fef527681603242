#include "plugin/ingest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/file.h"
#include "plugin/ingest_store.h"

namespace eagle::plugin {
namespace {

constexpr std::size_t kHashStepBytes = 1 << 20;
constexpr unsigned int kWritable = 0222;

const std::atomic<bool> kNeverCancelled{false};

// Errors of linkat(2) that a copy gets around: another mount, too many links, no links on this file
// system or for this user, and a file that lost its last name after we opened it.
bool CopyMayHelp(int error) {
  return error == EXDEV || error == EMLINK || error == EPERM || error == EOPNOTSUPP ||
         error == ENOENT;
}

}  // namespace

Ingest::Ingest(IngestStore& owner, ContentStore& blobs, IngestLocks::Lock lock, std::string ref)
    : owner_(owner),
      blobs_(blobs),
      lock_(std::move(lock)),
      ref_(std::move(ref)),
      folder_(owner.FolderOf(ref_)) {}

Ingest::~Ingest() = default;

const StoreFiles& Ingest::files() const {
  return blobs_.files();
}

absl::Status Ingest::OpenData() {
  EAGLE_ASSIGN_OR_RETURN(data_, base::OpenFile(DataPath(), O_RDONLY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(data_.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InternalError(fmt::format("{}: not a regular file", DataPath()));
  }
  offset_ = info.st_size;
  // The hand-over takes the write permission away, which shows even after the other name is gone.
  shared_ = info.st_nlink > 1 || (info.st_mode & kWritable) == 0;
  if (!shared_) {
    EAGLE_ASSIGN_OR_RETURN(data_, files().Open(DataPath(), O_RDWR | O_NOFOLLOW));
  }
  return absl::OkStatus();
}

std::optional<base::Digest> Ingest::digest() const {
  if (adopted_) return adopted_;
  if (hashed_ != offset_) return std::nullopt;
  return hasher_.Current();
}

absl::Status Ingest::HashExisting(const std::atomic<bool>& cancelled) {
  while (!adopted_ && hashed_ < offset_) {
    if (cancelled) return absl::CancelledError("hash: cancelled");
    const auto step = std::min<std::int64_t>(kHashStepBytes, offset_ - hashed_);
    auto data = base::ReadAt(data_.get(), hashed_, static_cast<std::size_t>(step));
    if (!data.ok()) return base::Annotate(data.status(), DataPath());
    if (data->empty()) return absl::DataLossError(fmt::format("{}: became shorter", DataPath()));
    hasher_.Update(*data);
    hashed_ += static_cast<std::int64_t>(data->size());
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> Ingest::CreateNewData() {
  EAGLE_RETURN_IF_ERROR(files().Remove(NewDataPath()));
  return files().Open(NewDataPath(), O_RDWR | O_CREAT | O_EXCL);
}

absl::Status Ingest::MakePrivate(std::int64_t keep_bytes) {
  EAGLE_ASSIGN_OR_RETURN(base::UniqueFd fresh, CreateNewData());
  if (keep_bytes > 0) {
    EAGLE_RETURN_IF_ERROR(
        files()
            .Copy(data_.get(), fresh.get(), keep_bytes, NewDataPath(), kNeverCancelled)
            .status());
  }
  EAGLE_RETURN_IF_ERROR(files().Rename(NewDataPath(), DataPath()));
  data_ = std::move(fresh);
  shared_ = false;
  dirty_ = true;
  return absl::OkStatus();
}

absl::Status Ingest::Append(std::string_view data) {
  if (data.empty()) return absl::OkStatus();
  if (shared_) EAGLE_RETURN_IF_ERROR(MakePrivate(offset_));
  adopted_.reset();
  EAGLE_RETURN_IF_ERROR(HashExisting(kNeverCancelled));
  if (absl::Status status = files().Write(data_.get(), data, offset_, DataPath()); !status.ok()) {
    // A part may have been written; the next stream resumes at the file's size.
    (void)files().Truncate(data_.get(), offset_, DataPath());
    return status;
  }
  dirty_ = true;
  hasher_.Update(data);
  offset_ += static_cast<std::int64_t>(data.size());
  hashed_ = offset_;
  updated_at_ = std::chrono::system_clock::now();
  return absl::OkStatus();
}

absl::Status Ingest::Truncate() {
  if (shared_) {
    EAGLE_RETURN_IF_ERROR(MakePrivate(0));
  } else {
    EAGLE_RETURN_IF_ERROR(files().Truncate(data_.get(), 0, DataPath()));
  }
  offset_ = 0;
  dirty_ = true;
  hasher_ = base::Sha256();
  hashed_ = 0;
  adopted_.reset();
  updated_at_ = std::chrono::system_clock::now();
  return absl::OkStatus();
}

absl::Status Ingest::Sync() {
  if (!dirty_) return absl::OkStatus();
  EAGLE_RETURN_IF_ERROR(unsyncable_);
  unsyncable_ = files().Sync(data_.get(), DataPath());
  if (!unsyncable_.ok()) {
    // The kernel may have dropped what it could not write, and says so once: to ask again would be
    // to believe that all is well.
    (void)Remove();
    return unsyncable_;
  }
  dirty_ = false;
  return absl::OkStatus();
}

absl::StatusOr<AdoptKind> Ingest::Link(const VerifiedFile& file,
                                       const std::atomic<bool>& cancelled) {
  EAGLE_RETURN_IF_ERROR(files().Remove(NewDataPath()));
  const int error = files().Link(file.fd.get(), NewDataPath());
  if (error == 0) return AdoptKind::kLink;
  if (!CopyMayHelp(error)) return StoreFiles::Error(error, "link", NewDataPath());
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fresh, CreateNewData());
  EAGLE_ASSIGN_OR_RETURN(
      const CopyKind kind,
      files().Copy(file.fd.get(), fresh.get(), file.size_bytes, NewDataPath(), cancelled));
  EAGLE_RETURN_IF_ERROR(files().SetReadOnly(fresh.get(), NewDataPath()));
  return kind == CopyKind::kReflink ? AdoptKind::kReflink : AdoptKind::kCopy;
}

absl::StatusOr<AdoptKind> Ingest::Adopt(const VerifiedFile& file,
                                        const std::atomic<bool>& cancelled) {
  if (offset_ != 0) return absl::FailedPreconditionError("adopt: the ingest is not empty");
  const auto take = [&]() -> absl::StatusOr<AdoptKind> {
    EAGLE_ASSIGN_OR_RETURN(const AdoptKind kind, Link(file, cancelled));
    EAGLE_ASSIGN_OR_RETURN(base::UniqueFd fresh,
                           files().Open(NewDataPath(), O_RDONLY | O_NOFOLLOW));
    EAGLE_RETURN_IF_ERROR(files().Sync(fresh.get(), NewDataPath()));
    EAGLE_RETURN_IF_ERROR(files().Rename(NewDataPath(), DataPath()));
    data_ = std::move(fresh);
    return kind;
  };
  auto kind = take();
  if (!kind.ok()) {
    (void)files().Remove(NewDataPath());
    return kind.status();
  }
  // Whatever it is, from here on it is treated as shared: a WRITE gets a fresh file.
  shared_ = true;
  dirty_ = false;
  offset_ = file.size_bytes;
  adopted_ = file.digest;
  hasher_ = base::Sha256();
  hashed_ = 0;
  updated_at_ = std::chrono::system_clock::now();
  return kind;
}

absl::Status Ingest::Commit(std::int64_t size_bytes, const std::string& expected) {
  if (size_bytes > 0 && size_bytes != offset_) {
    return absl::FailedPreconditionError(
        fmt::format("unexpected commit size {}, expected {}", offset_, size_bytes));
  }
  EAGLE_RETURN_IF_ERROR(HashExisting(kNeverCancelled));
  const BlobName name(*digest());
  if (!expected.empty() && expected != name.str()) {
    return absl::FailedPreconditionError(
        fmt::format("unexpected commit digest {}, expected {}", name.str(), expected));
  }
  const absl::Status status = Publish(name);
  if (status.ok() || absl::IsAlreadyExists(status)) (void)Remove();
  return status;
}

absl::Status Ingest::Publish(const BlobName& name) {
  if (blobs_.Info(name).ok()) {
    return absl::AlreadyExistsError(fmt::format("content {}: already exists", name.str()));
  }
  if (!shared_) {
    EAGLE_RETURN_IF_ERROR(files().SetReadOnly(data_.get(), DataPath()));
    files().Touch(data_.get());
  }
  EAGLE_RETURN_IF_ERROR(Sync());
  const absl::Status status = blobs_.Publish(DataPath(), name);
  if (absl::IsNotFound(status)) {
    return absl::FailedPreconditionError(
        fmt::format("ref {}: aborted while it was written; pull again", Excerpt(ref_)));
  }
  return status;
}

absl::Status Ingest::Remove() {
  return owner_.RemoveFolder(folder_);
}

std::optional<std::string> Ingest::Content(std::int64_t max_bytes) const {
  if (offset_ > max_bytes) return std::nullopt;
  auto data = base::ReadAt(data_.get(), 0, static_cast<std::size_t>(offset_));
  if (!data.ok()) return std::nullopt;
  return *std::move(data);
}

}  // namespace eagle::plugin
