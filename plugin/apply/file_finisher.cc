#include "plugin/apply/file_finisher.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lib/base/file.h"
#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

// Enough to make a switch between the threads cheap, few enough for a low limit of open files.
constexpr std::size_t kBatchFiles = 8;
constexpr std::size_t kBatchBytes = std::size_t{256} << 10;

}  // namespace

absl::Status SetOwner(int fd, const FileAttributes& attributes) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return base::ErrnoError(errno, "stat");
  if (info.st_uid == attributes.uid && info.st_gid == attributes.gid) return absl::OkStatus();
  if (::fchown(fd, attributes.uid, attributes.gid) == 0) return absl::OkStatus();
  return base::ErrnoError(errno, "chown");
}

absl::Status SetPermissionsAndTimes(int fd, const FileAttributes& attributes) {
  constexpr mode_t kModeBits = 07777;
  struct stat info {};
  if (::fstat(fd, &info) != 0) return base::ErrnoError(errno, "stat");
  if ((info.st_mode & kModeBits) != attributes.permissions &&
      ::fchmod(fd, attributes.permissions) != 0) {
    return base::ErrnoError(errno, "chmod");
  }
  if (::futimens(fd, attributes.times.data()) == 0) return absl::OkStatus();
  return base::ErrnoError(errno, "utimens");
}

FileFinisher::~FileFinisher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FileFinisher::Add(File file) {
  batch_bytes_ += file.data.size();
  batch_.push_back(std::move(file));
  if (batch_.size() >= kBatchFiles || batch_bytes_ >= kBatchBytes) HandOver();
}

void FileFinisher::Flush() {
  if (!batch_.empty()) HandOver();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_.empty() && !working_; });
}

absl::Status FileFinisher::status() {
  std::lock_guard lock(mutex_);
  return status_;
}

void FileFinisher::HandOver() {
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_.empty(); });
    waiting_.swap(batch_);
  }
  changed_.notify_all();
  batch_.clear();
  batch_bytes_ = 0;
}

void FileFinisher::Run() {
  std::vector<File> files;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    files.swap(waiting_);
    working_ = true;
    absl::Status status = status_;
    lock.unlock();
    changed_.notify_all();
    for (const File& file : files) {
      if (!status.ok()) break;
      status = Finish(file);
    }
    files.clear();
    lock.lock();
    status_ = std::move(status);
    working_ = false;
    changed_.notify_all();
  }
}

absl::Status FileFinisher::Finish(const File& file) {
  const auto finish = [&]() -> absl::Status {
    EAGLE_RETURN_IF_ERROR(base::WriteAllAt(file.fd.get(), file.data, 0));
    EAGLE_RETURN_IF_ERROR(SetOwner(file.fd.get(), file.attributes));
    return SetPermissionsAndTimes(file.fd.get(), file.attributes);
  };
  return base::Annotate(finish(), fmt::format("unpack \"{}\"", Printable(file.name)));
}

}  // namespace eagle::apply
