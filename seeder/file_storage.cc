#include "seeder/file_storage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lib/base/file.h"

namespace eagle::seeder {
namespace {

// How much is written between two requests to the kernel to send it to the disk, so that the sync
// at the end finds little left to do.
constexpr std::int64_t kWritebackBytes = 8 << 20;

class FileWriter final : public LayerWriter {
 public:
  FileWriter(blob::BlobCache& cache, const base::Digest& digest, blob::BlobCache::Pin pin,
             base::UniqueFd fd)
      : cache_(cache), digest_(digest), pin_(std::move(pin)), fd_(std::move(fd)) {}

  ~FileWriter() override {
    // A failure leaves a partial layer, which the next start drops.
    if (!committed_) (void)cache_.Remove(digest_);
  }

  absl::Status Write(std::string_view data) override {
    EAGLE_RETURN_IF_ERROR(base::WriteAllAt(fd_.get(), data, written_));
    written_ += static_cast<std::int64_t>(data.size());
    if (written_ - flushed_ >= kWritebackBytes) {
      ::sync_file_range(fd_.get(), flushed_, written_ - flushed_, SYNC_FILE_RANGE_WRITE);
      flushed_ = written_;
    }
    return absl::OkStatus();
  }

  absl::Status Commit(const std::string& metainfo) override {
    if (::fchmod(fd_.get(), 0444) != 0) return base::ErrnoError(errno, "chmod");
    if (::fsync(fd_.get()) != 0) return base::ErrnoError(errno, "fsync");
    fd_.Reset();
    EAGLE_RETURN_IF_ERROR(cache_.SetMetainfo(digest_, metainfo));
    EAGLE_RETURN_IF_ERROR(cache_.MarkComplete(digest_));
    committed_ = true;
    return absl::OkStatus();
  }

 private:
  blob::BlobCache& cache_;
  const base::Digest digest_;
  blob::BlobCache::Pin pin_;
  base::UniqueFd fd_;
  std::int64_t written_ = 0;
  std::int64_t flushed_ = 0;
  bool committed_ = false;
};

class FilePin final : public LayerPin {
 public:
  explicit FilePin(blob::BlobCache::Pin pin) : pin_(std::move(pin)) {}

 private:
  const blob::BlobCache::Pin pin_;
};

StoredLayer LayerOf(blob::BlobRecord record) {
  return {record.digest,
          record.size_bytes,
          record.complete,
          std::move(record.metainfo),
          std::move(record.resume_data),
          std::move(record.source),
          record.last_used};
}

absl::Status AlreadyThere(const base::Digest& digest) {
  return absl::AlreadyExistsError(fmt::format("{} is stored already", digest.str()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileStorage>> FileStorage::Open(const std::string& directory,
                                                               base::ByteSize limit,
                                                               const base::Clock& clock) {
  blob::BlobCacheOptions options;
  options.directory = directory;
  options.limit = limit;
  EAGLE_ASSIGN_OR_RETURN(auto cache, blob::BlobCache::Open(options, clock));
  return std::unique_ptr<FileStorage>(new FileStorage(std::move(cache)));
}

void FileStorage::SetEvictionListener(EvictionListener* listener) {
  if (listener == nullptr) return cache_->SetEvictionHook(nullptr);
  cache_->SetEvictionHook([listener](const base::Digest& digest) { listener->OnEviction(digest); });
}

absl::StatusOr<std::unique_ptr<LayerWriter>> FileStorage::Create(const base::Digest& digest,
                                                                 std::int64_t size_bytes,
                                                                 const std::string& source) {
  if (cache_->Find(digest)) return AlreadyThere(digest);
  EAGLE_ASSIGN_OR_RETURN(blob::BlobCache::Pin pin, cache_->Reserve(digest, size_bytes));
  EAGLE_RETURN_IF_ERROR(cache_->SetSource(digest, source));
  auto fd = base::OpenFile(cache_->PathOf(digest), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!fd.ok()) {
    // The error that matters is the open's.
    (void)cache_->Remove(digest);
    return fd.status();
  }
  return std::make_unique<FileWriter>(*cache_, digest, std::move(pin), *std::move(fd));
}

absl::Status FileStorage::BeginDownload(const base::Digest& digest, std::int64_t size_bytes,
                                        const std::string& metainfo, const std::string& source) {
  if (cache_->Find(digest)) return AlreadyThere(digest);
  EAGLE_ASSIGN_OR_RETURN(const blob::BlobCache::Pin pin, cache_->Reserve(digest, size_bytes));
  EAGLE_RETURN_IF_ERROR(cache_->SetSource(digest, source));
  return cache_->SetMetainfo(digest, metainfo);
}

absl::Status FileStorage::SetResumeData(const base::Digest& digest,
                                        const std::string& resume_data) {
  return cache_->SetResumeData(digest, resume_data);
}

absl::Status FileStorage::FinishDownload(const base::Digest& digest) {
  EAGLE_ASSIGN_OR_RETURN(const blob::BlobCache::Pin pin, cache_->Acquire(digest));
  base::Sha256 hasher;
  constexpr std::size_t kStep = 1 << 20;
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                         base::OpenFile(cache_->PathOf(digest), O_RDONLY | O_NOFOLLOW));
  for (std::int64_t offset = 0;;) {
    EAGLE_ASSIGN_OR_RETURN(const std::string data, base::ReadAt(fd.get(), offset, kStep));
    if (data.empty()) break;
    hasher.Update(data);
    offset += static_cast<std::int64_t>(data.size());
  }
  if (hasher.Current() == digest) return cache_->MarkComplete(digest);
  EAGLE_RETURN_IF_ERROR(cache_->Remove(digest));
  return absl::DataLossError(
      fmt::format("the swarm's {} has the digest {}", digest.str(), hasher.Current().str()));
}

absl::Status FileStorage::SetMetainfo(const base::Digest& digest, const std::string& metainfo) {
  return cache_->SetMetainfo(digest, metainfo);
}

absl::StatusOr<std::string> FileStorage::Read(const base::Digest& digest, std::int64_t offset,
                                              std::size_t size) {
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                         base::OpenFile(cache_->PathOf(digest), O_RDONLY | O_NOFOLLOW));
  return base::ReadAt(fd.get(), offset, size);
}

std::optional<StoredLayer> FileStorage::Find(const base::Digest& digest) {
  auto record = cache_->Find(digest);
  if (!record) return std::nullopt;
  return LayerOf(*std::move(record));
}

std::vector<StoredLayer> FileStorage::List() {
  std::vector<StoredLayer> layers;
  for (blob::BlobRecord& record : cache_->List()) layers.push_back(LayerOf(std::move(record)));
  return layers;
}

absl::StatusOr<std::unique_ptr<LayerPin>> FileStorage::Pin(const base::Digest& digest) {
  EAGLE_ASSIGN_OR_RETURN(blob::BlobCache::Pin pin, cache_->Acquire(digest));
  return std::make_unique<FilePin>(std::move(pin));
}

void FileStorage::Touch(const base::Digest& digest) {
  cache_->Touch(digest);
}

absl::Status FileStorage::Remove(const base::Digest& digest) {
  return cache_->Remove(digest);
}

Storage::Usage FileStorage::GetUsage() {
  const blob::BlobCacheUsage usage = cache_->Usage();
  return {usage.bytes, cache_->limit().bytes, usage.blobs, usage.evicted_bytes,
          usage.evicted_blobs};
}

std::string FileStorage::SwarmDirectory() {
  return cache_->blobs_directory();
}

}  // namespace eagle::seeder
