#include "plugin/ingest_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/digest.h"
#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "plugin/folder.h"

namespace eagle::plugin {
namespace {

// Keys of containerd's own database are no longer than this.
constexpr std::size_t kMaxRefBytes = 32768;
constexpr std::int64_t kMaxTimeBytes = 64;
constexpr std::string_view kRemoved = ".removed-";

std::string ToText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
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

IngestStore::IngestStore(ContentStore& blobs, std::string boot)
    : blobs_(blobs), root_(blobs.root() + "/ingest"), boot_(std::move(boot)) {}

std::string IngestStore::CurrentBoot() {
  auto boot = base::ReadFile("/proc/sys/kernel/random/boot_id", kMaxTimeBytes);
  return boot.ok() ? *std::move(boot) : "unknown";
}

absl::StatusOr<std::unique_ptr<IngestStore>> IngestStore::Open(ContentStore& blobs,
                                                               const std::string& boot) {
  std::unique_ptr<IngestStore> store(new IngestStore(blobs, boot));
  std::vector<std::string> useless;
  EAGLE_RETURN_IF_ERROR(ForEachEntry(store->root_, [&](int, const char* name) {
    const std::string path = fmt::format("{}/{}", store->root_, name);
    if (path.find(kRemoved) != std::string::npos) useless.push_back(path);
    if (!base::Digest::FromHex(name).ok()) return true;
    const auto marked = base::ReadFile(path + "/boot", kMaxTimeBytes);
    if (marked.ok() && *marked == boot && store->ReadStatus(path).ok()) {
      ++store->count_;
    } else {
      useless.push_back(path);
    }
    return true;
  }));
  for (const std::string& path : useless) {
    if (absl::Status status = blobs.files().RemoveTree(path); !status.ok()) {
      observe::Warn("ingest_not_removed", "path", path, "error", base::Message(status));
    }
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
  const StoreFiles& files = blobs_.files();
  EAGLE_RETURN_IF_ERROR(RemoveFolder(folder));
  EAGLE_RETURN_IF_ERROR(files.MakeFolder(folder));
  ++count_;
  // Without a sync: after a crash they are removed whatever they say.
  const std::string now = ToText(absl::Now());
  EAGLE_RETURN_IF_ERROR(files.WriteSmall(folder + "/ref", ref));
  EAGLE_RETURN_IF_ERROR(files.WriteSmall(folder + "/startedat", now));
  EAGLE_RETURN_IF_ERROR(files.WriteSmall(folder + "/updatedat", now));
  EAGLE_RETURN_IF_ERROR(files.WriteSmall(folder + "/boot", boot_));
  if (total_bytes > 0) {
    EAGLE_RETURN_IF_ERROR(files.WriteSmall(folder + "/total", std::to_string(total_bytes)));
  }
  return files.WriteSmall(folder + "/data", "");
}

absl::StatusOr<std::unique_ptr<Ingest>> IngestStore::OpenIngest(const std::string& ref,
                                                                std::int64_t total_bytes,
                                                                const std::string& expected) {
  if (ref.size() > kMaxRefBytes) {
    return absl::InvalidArgumentError(
        fmt::format("ref: {} bytes; at most {}", ref.size(), kMaxRefBytes));
  }
  auto lock = locks_.TryLock(ref);
  if (!lock) return absl::UnavailableError(fmt::format("ref {} locked: unavailable", Excerpt(ref)));
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
    return absl::NotFoundError(fmt::format("ingest ref {}: not found", Excerpt(ref)));
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
  const absl::Status renamed = blobs_.files().Rename(folder, removed);
  if (absl::IsNotFound(renamed)) return absl::OkStatus();
  EAGLE_RETURN_IF_ERROR(renamed);
  --count_;
  return blobs_.files().RemoveTree(removed);
}

}  // namespace eagle::plugin
