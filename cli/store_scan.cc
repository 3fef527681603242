#include "cli/store_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

#include "lib/base/digest.h"
#include "lib/base/file.h"
#include "lib/base/unique_fd.h"

namespace eagle::cli {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::int64_t kMaxRefBytes = 32768;
struct Algorithm {
  std::string_view name;
  std::size_t hex_digits;
};
// Those that containerd registers.
constexpr std::array<Algorithm, 3> kAlgorithms{{{"sha256", 64}, {"sha384", 96}, {"sha512", 128}}};

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

absl::Status ForEachName(const std::string& folder,
                         const std::function<void(const std::string&)>& visit) {
  const std::unique_ptr<DIR, CloseFolder> open(::opendir(folder.c_str()));
  if (open == nullptr) return base::ErrnoError(errno, fmt::format("list {}", folder));
  errno = 0;
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") visit(name);
    errno = 0;
  }
  return errno == 0 ? absl::OkStatus() : base::ErrnoError(errno, fmt::format("list {}", folder));
}

bool IsHex(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// nullopt when it has gone.
std::optional<StoredBlob> Look(const std::string& root, const std::string& folder,
                               const std::string& name) {
  StoredBlob blob;
  blob.path = fmt::format("{}/blobs/{}/{}", root, folder, name);
  struct stat info {};
  if (::lstat(blob.path.c_str(), &info) != 0) return std::nullopt;
  const auto algorithm = std::find_if(kAlgorithms.begin(), kAlgorithms.end(),
                                      [&](const Algorithm& one) { return one.name == folder; });
  blob.well_named = algorithm != kAlgorithms.end() && IsHex(name, algorithm->hex_digits);
  blob.digest = fmt::format("{}{}{}", folder, blob.well_named ? ":" : "/", name);
  blob.regular = S_ISREG(info.st_mode);
  blob.size_bytes = info.st_size;
  blob.disk_bytes = std::int64_t{info.st_blocks} * 512;
  blob.links = info.st_nlink;
  blob.created_at = std::chrono::system_clock::from_time_t(info.st_mtim.tv_sec);
  return blob;
}

// Lets no more than the rate through, on average since the start.
class Throttle {
 public:
  explicit Throttle(base::ByteRate rate) : rate_(rate) {}
  void Pass(std::int64_t bytes) {
    if (rate_.unlimited()) return;
    passed_ += bytes;
    std::this_thread::sleep_until(
        start_ + std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(
                     static_cast<double>(passed_) / static_cast<double>(rate_.bytes_per_second))));
  }

 private:
  const base::ByteRate rate_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::int64_t passed_ = 0;
};

// Empty when the bytes are those that the name says.
absl::StatusOr<std::string> CheckBytes(const StoredBlob& blob, Throttle& throttle) {
  auto fd = base::OpenFile(blob.path, O_RDONLY | O_NOFOLLOW | O_NOATIME);
  if (absl::IsPermissionDenied(fd.status())) {
    fd = base::OpenFile(blob.path, O_RDONLY | O_NOFOLLOW);
  }
  EAGLE_RETURN_IF_ERROR(fd.status());
  ::posix_fadvise(fd->get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  base::Sha256 hasher;
  std::vector<char> buffer(kReadBytes);
  std::int64_t at = 0;
  while (true) {
    const ssize_t size = ::pread(fd->get(), buffer.data(), buffer.size(), at);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fmt::format("cannot be read at byte {}: {}", at, std::strerror(errno));
    if (size == 0) break;
    hasher.Update({buffer.data(), static_cast<std::size_t>(size)});
    ::posix_fadvise(fd->get(), at, size, POSIX_FADV_DONTNEED);
    at += size;
    throttle.Pass(size);
  }
  if (hasher.Current().str() == blob.digest) return std::string();
  return fmt::format("its {} bytes hash to {}: rotted or truncated", at, hasher.Current().str());
}

}  // namespace

absl::Status ForEachBlob(const std::string& root,
                         const std::function<void(const StoredBlob&)>& visit) {
  std::vector<std::string> folders;
  EAGLE_RETURN_IF_ERROR(
      ForEachName(root + "/blobs", [&](const std::string& name) { folders.push_back(name); }));
  for (const std::string& folder : folders) {
    struct stat info {};
    if (::lstat(fmt::format("{}/blobs/{}", root, folder).c_str(), &info) != 0) continue;
    if (!S_ISDIR(info.st_mode)) {
      if (const auto stray = Look(root, ".", folder)) visit(*stray);
      continue;
    }
    const absl::Status status =
        ForEachName(fmt::format("{}/blobs/{}", root, folder), [&](const std::string& name) {
          if (const auto blob = Look(root, folder, name)) visit(*blob);
        });
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredIngest>> ListIngests(const std::string& root) {
  std::vector<StoredIngest> all;
  EAGLE_RETURN_IF_ERROR(ForEachName(root + "/ingest", [&](const std::string& name) {
    const std::string folder = fmt::format("{}/ingest/{}", root, name);
    struct stat info {};
    if (::stat((folder + "/data").c_str(), &info) != 0) return;
    const auto ref = base::ReadFile(folder + "/ref", kMaxRefBytes);
    all.push_back({ref.ok() ? *ref : name, info.st_size});
  }));
  return all;
}

absl::StatusOr<VerifyResult> VerifyStore(const std::string& root, base::ByteRate rate) {
  VerifyResult result;
  Throttle throttle(rate);
  EAGLE_RETURN_IF_ERROR(ForEachBlob(root, [&](const StoredBlob& blob) {
    ++result.blobs;
    result.bytes += blob.size_bytes;
    if (!blob.regular) {
      result.bad.push_back({blob, "not a regular file"});
    } else if (!blob.well_named) {
      result.bad.push_back({blob, "not the name of a blob"});
    } else if (!blob.digest.starts_with("sha256:")) {
      ++result.unchecked;
    } else {
      const auto problem = CheckBytes(blob, throttle);
      if (absl::IsNotFound(problem.status())) {
        --result.blobs;
      } else if (!problem.ok()) {
        result.bad.push_back({blob, std::string(base::Message(problem.status()))});
      } else if (!problem->empty()) {
        result.bad.push_back({blob, *problem});
      }
    }
  }));
  return result;
}

}  // namespace eagle::cli
