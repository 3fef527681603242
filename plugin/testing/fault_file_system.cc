#include "plugin/testing/fault_file_system.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "lib/base/file.h"

namespace eagle::plugin::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSmallBytes = 512;

std::string Parent(const std::string& path) {
  return fs::path(path).parent_path().string();
}

struct stat StatOf(const std::string& path) {
  struct stat info {};
  ::lstat(path.c_str(), &info);
  return info;
}

// The path that a descriptor was opened by.
std::string PathOf(int fd) {
  std::error_code error;
  return fs::read_symlink(fmt::format("/proc/self/fd/{}", fd), error).string();
}

}  // namespace

// Hands a call on when nothing is to fail.
class FaultDisk::System final : public FileSystem {
 public:
  explicit System(FaultDisk* disk) : disk_(*disk) {}

  int Open(const std::string& path, int flags, unsigned int mode) override {
    if (disk_.Fails(fmt::format("open {}", path))) return -1;
    const int fd = host_.Open(path, flags, mode);
    // While it is open, the number of its inode is not used for another one.
    if (fd >= 0 && (flags & O_CREAT) != 0) disk_.pins_.emplace_back(::dup(fd));
    return fd;
  }
  ssize_t Write(int fd, const char* data, std::size_t size, std::int64_t offset) override {
    const bool was_met = disk_.failed_.has_value();
    if (disk_.Fails(fmt::format("write {}", PathOf(fd)))) {
      if (disk_.fault_ != Fault::kShortWrite || was_met || size < 2) return -1;
      size /= 2;
      // So that the rest of it fails.
      disk_.fail_at_ = disk_.calls_;
    }
    return host_.Write(fd, data, size, offset);
  }
  int Truncate(int fd, std::int64_t size_bytes) override {
    return disk_.Fails(fmt::format("truncate {}", PathOf(fd))) ? -1
                                                               : host_.Truncate(fd, size_bytes);
  }
  int Sync(int fd) override {
    if (disk_.Fails(fmt::format("sync {}", PathOf(fd)))) return -1;
    disk_.OnSync(fd);
    return 0;
  }
  int SetMode(int fd, unsigned int mode) override {
    return disk_.Fails(fmt::format("chmod {}", PathOf(fd))) ? -1 : host_.SetMode(fd, mode);
  }
  int SetTimesToNow(int fd) override {
    return disk_.Fails(fmt::format("touch {}", PathOf(fd))) ? -1 : host_.SetTimesToNow(fd);
  }
  int Clone(int, int) override {
    errno = EOPNOTSUPP;
    return -1;
  }
  int Link(int fd, const std::string& to) override {
    if (!disk_.links_) {
      errno = EXDEV;
      return -1;
    }
    return disk_.Fails(fmt::format("link {}", to)) ? -1 : host_.Link(fd, to);
  }
  int Rename(const std::string& from, const std::string& to, unsigned int flags) override {
    if (disk_.Fails(fmt::format("rename {} {}", from, to))) return -1;
    return host_.Rename(from, to, flags);
  }
  int Unlink(const std::string& path) override {
    return disk_.Fails(fmt::format("unlink {}", path)) ? -1 : host_.Unlink(path);
  }
  int MakeFolder(const std::string& path, unsigned int mode) override {
    return disk_.Fails(fmt::format("mkdir {}", path)) ? -1 : host_.MakeFolder(path, mode);
  }
  int RemoveFolder(const std::string& path) override {
    return disk_.Fails(fmt::format("rmdir {}", path)) ? -1 : host_.RemoveFolder(path);
  }

 private:
  FaultDisk& disk_;
  HostFileSystem host_;
};

std::unique_ptr<FileSystem> FaultDisk::Connect() {
  return std::make_unique<System>(this);
}

void FaultDisk::FailAt(std::int64_t n, Fault fault) {
  fail_at_ = calls_ + n;
  fault_ = fault;
  failed_.reset();
}

void FaultDisk::Heal() {
  fail_at_ = -1;
  dead_ = false;
}

bool FaultDisk::Fails(const std::string& call) {
  const bool now = calls_++ == fail_at_;
  if (now && !failed_) failed_ = call;
  if (now && fault_ == Fault::kPowerLoss) dead_ = true;
  if (!now && !dead_) {
    journal_.push_back(call);
    return false;
  }
  const bool full = !dead_ && (fault_ == Fault::kNoSpace || fault_ == Fault::kShortWrite);
  errno = full ? ENOSPC : EIO;
  return true;
}

void FaultDisk::OnSync(int fd) {
  struct stat info {};
  ::fstat(fd, &info);
  if (S_ISDIR(info.st_mode)) return SyncNames(PathOf(fd));
  durable_bytes_[info.st_ino] = *base::ReadAt(fd, 0, static_cast<std::size_t>(info.st_size));
}

void FaultDisk::SyncNames(const std::string& folder) {
  for (auto it = durable_names_.begin(); it != durable_names_.end();) {
    it = Parent(it->first) == folder ? durable_names_.erase(it) : std::next(it);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    const struct stat info = StatOf(entry.path().string());
    durable_names_[entry.path().string()] = {.folder = S_ISDIR(info.st_mode), .inode = info.st_ino};
  }
}

bool FaultDisk::IsDurable(const std::string& path) const {
  return path == root_ || (durable_names_.contains(path) && IsDurable(Parent(path)));
}

bool FaultDisk::IsSynced(const std::string& path) const {
  const auto durable = durable_bytes_.find(StatOf(path).st_ino);
  return durable != durable_bytes_.end() && durable->second == base::ReadFile(path).value_or("?");
}

void FaultDisk::LosePower(Loss loss) {
  Heal();
  if (loss == Loss::kNothing) return;
  std::map<std::string, std::optional<std::string>> left;
  if (loss == Loss::kEverything) {
    for (const auto& [path, entry] : durable_names_) {
      if (!IsDurable(path)) continue;
      const auto bytes = durable_bytes_.find(entry.inode);
      left[path] = entry.folder                    ? std::nullopt
                   : bytes == durable_bytes_.end() ? std::optional<std::string>("")
                                                   : bytes->second;
    }
    return Rebuild(left);
  }
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    const std::string path = entry.path().string();
    if (entry.is_directory()) {
      left[path] = std::nullopt;
      continue;
    }
    const std::string live = *base::ReadFile(path);
    const auto found = durable_bytes_.find(StatOf(path).st_ino);
    std::string bytes = found == durable_bytes_.end() ? "" : found->second;
    if (bytes != live && (loss != Loss::kLargeZeros || live.size() > kSmallBytes)) {
      const std::size_t kept = std::min(bytes.size(), live.size());
      if (loss == Loss::kTails) {
        bytes = live.substr(0, kept + (live.size() - kept) / 2);
      } else {
        bytes.resize(live.size(), '\0');
      }
    } else {
      bytes = live;
    }
    left[path] = bytes;
  }
  Rebuild(left);
}

// Folders sort before what is in them.
void FaultDisk::Rebuild(const std::map<std::string, std::optional<std::string>>& files) const {
  for (const auto& entry : fs::directory_iterator(root_)) fs::remove_all(entry.path());
  for (const auto& [path, bytes] : files) {
    if (bytes) {
      std::ofstream(path, std::ios::binary) << *bytes;
    } else {
      fs::create_directory(path);
    }
  }
}

}  // namespace eagle::plugin::testing
