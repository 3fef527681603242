#include "plugin/ingest_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/digest.h"
#include "lib/base/file.h"
#include "plugin/folder.h"

namespace eagle::plugin {
namespace {

// Keys of containerd's own database are no longer than this.
constexpr std::size_t kMaxRefBytes = 32768;
constexpr std::int64_t kMaxTimeBytes = 64;
constexpr std::string_view kRemoved = ".removed-";

// A small file that is worthless after a crash anyway: no sync.
absl::Status WriteSmallFile(const std::string& path, std::string_view content) {
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                         base::OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return base::Annotate(base::WriteAllAt(fd.get(), content, 0), path);
}

absl::Status WriteTime(const std::string& path, absl::Time time) {
  return WriteSmallFile(path, absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone()));
}

absl::StatusOr<std::chrono::system_clock::time_point> ReadTime(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kMaxTimeBytes));
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::DataLossError(fmt::format("{}: {}", path, error));
  }
  return absl::ToChronoTime(time);
}

// As the built-in store: what cannot be read is unknown.
std::int64_t ReadTotal(const std::string& path) {
  std::int64_t total = 0;
  const auto text = base::ReadFile(path, kMaxTimeBytes);
  if (text.ok()) std::from_chars(text->data(), text->data() + text->size(), total);
  return std::max<std::int64_t>(total, 0);
}

}  // namespace

IngestStore::IngestStore(ContentStore& blobs) : blobs_(blobs), root_(blobs.root() + "/ingest") {}

absl::StatusOr<std::unique_ptr<IngestStore>> IngestStore::Open(ContentStore& blobs) {
  std::unique_ptr<IngestStore> store(new IngestStore(blobs));
  std::vector<std::string> useless;
  EAGLE_RETURN_IF_ERROR(ForEachEntry(store->root_, [&](int, const char* name) {
    const std::string path = fmt::format("{}/{}", store->root_, name);
    if (path.find(kRemoved) != std::string::npos) useless.push_back(path);
    if (!base::Digest::FromHex(name).ok()) return true;
    const absl::Status status = store->ReadStatus(path).status();
    if (status.ok()) {
      ++store->count_;
    } else if (absl::IsNotFound(status) || absl::IsDataLoss(status)) {
      useless.push_back(path);
    }
    return true;
  }));
  for (const std::string& path : useless) {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  return store;
}

std::string IngestStore::FolderOf(const std::string& ref) const {
  return fmt::format("{}/{}", root_, base::Digest::Of(ref).hex());
}

absl::StatusOr<IngestStatus> IngestStore::ReadStatus(const std::string& folder) const {
  struct stat info {};
  if (::stat((folder + "/data").c_str(), &info) != 0) {
    return base::ErrnoError(errno, fmt::format("ingest {}", folder));
  }
  IngestStatus status;
  EAGLE_ASSIGN_OR_RETURN(status.ref, base::ReadFile(folder + "/ref", kMaxRefBytes));
  EAGLE_ASSIGN_OR_RETURN(status.started_at, ReadTime(folder + "/startedat"));
  EAGLE_ASSIGN_OR_RETURN(status.updated_at, ReadTime(folder + "/updatedat"));
  status.updated_at =
      std::max(status.updated_at, absl::ToChronoTime(absl::TimeFromTimespec(info.st_mtim)));
  status.total = ReadTotal(folder + "/total");
  status.offset = info.st_size;
  return status;
}

absl::Status IngestStore::Create(const std::string& folder, const std::string& ref,
                                 std::int64_t total_bytes) {
  EAGLE_RETURN_IF_ERROR(RemoveFolder(folder));
  if (::mkdir(folder.c_str(), 0755) != 0) {
    return base::ErrnoError(errno, fmt::format("mkdir {}", folder));
  }
  ++count_;
  const absl::Time now = absl::Now();
  EAGLE_RETURN_IF_ERROR(WriteSmallFile(folder + "/ref", ref));
  EAGLE_RETURN_IF_ERROR(WriteTime(folder + "/startedat", now));
  EAGLE_RETURN_IF_ERROR(WriteTime(folder + "/updatedat", now));
  if (total_bytes > 0) {
    EAGLE_RETURN_IF_ERROR(WriteSmallFile(folder + "/total", std::to_string(total_bytes)));
  }
  return WriteSmallFile(folder + "/data", "");
}

absl::StatusOr<std::unique_ptr<Ingest>> IngestStore::OpenIngest(const std::string& ref,
                                                                std::int64_t total_bytes,
                                                                const std::string& expected) {
  if (ref.size() > kMaxRefBytes) {
    return absl::InvalidArgumentError(
        fmt::format("ref: {} bytes; at most {}", ref.size(), kMaxRefBytes));
  }
  auto lock = locks_.TryLock(ref);
  if (!lock) return absl::UnavailableError(fmt::format("ref {} locked: unavailable", ref));
  if (!expected.empty()) {
    EAGLE_ASSIGN_OR_RETURN(const BlobName name, BlobName::Parse(expected));
    if (blobs_.Info(name).ok()) {
      return absl::AlreadyExistsError(fmt::format("content {}: already exists", expected));
    }
  }
  std::unique_ptr<Ingest> ingest(new Ingest(*this, blobs_, *std::move(lock), ref));
  auto status = ReadStatus(ingest->folder_);
  const bool other_total =
      status.ok() && total_bytes > 0 && status->total > 0 && total_bytes != status->total;
  if (!status.ok() || status->ref != ref || other_total) {
    EAGLE_RETURN_IF_ERROR(Create(ingest->folder_, ref, total_bytes));
    status = ReadStatus(ingest->folder_);
  }
  if (!status.ok()) return status.status();
  EAGLE_RETURN_IF_ERROR(ingest->OpenData());
  ingest->total_ = status->total;
  ingest->started_at_ = status->started_at;
  ingest->updated_at_ = status->updated_at;
  return ingest;
}

absl::StatusOr<IngestStatus> IngestStore::Status(const std::string& ref) const {
  auto status = ReadStatus(FolderOf(ref));
  if (!status.ok() || status->ref != ref) {
    return absl::NotFoundError(fmt::format("ingest ref {}: not found", ref));
  }
  status->offset = std::max(status->offset, locks_.LiveOffset(ref));
  return status;
}

absl::StatusOr<std::vector<IngestStatus>> IngestStore::List() const {
  std::vector<IngestStatus> all;
  EAGLE_RETURN_IF_ERROR(ForEachEntry(root_, [&](int, const char* name) {
    if (!base::Digest::FromHex(name).ok()) return true;
    auto status = ReadStatus(fmt::format("{}/{}", root_, name));
    // It may just have been committed or aborted.
    if (!status.ok()) return true;
    status->offset = std::max(status->offset, locks_.LiveOffset(status->ref));
    all.push_back(*std::move(status));
    return true;
  }));
  return all;
}

absl::Status IngestStore::Abort(const std::string& ref) {
  return RemoveFolder(FolderOf(ref));
}

absl::Status IngestStore::RemoveFolder(const std::string& folder) {
  // In one step, so that a stream that opens the ref again meets either the old folder or none.
  const std::string removed = fmt::format("{}{}{}", folder, kRemoved, ++removals_);
  if (::rename(folder.c_str(), removed.c_str()) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return base::ErrnoError(errno, fmt::format("remove ingest {}", folder));
  }
  --count_;
  std::error_code error;
  std::filesystem::remove_all(removed, error);
  if (error) return base::ErrnoError(error.value(), fmt::format("remove ingest {}", removed));
  return absl::OkStatus();
}

}  // namespace eagle::plugin
