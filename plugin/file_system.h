#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace eagle::plugin {

/// The system calls by which the store changes the disk, and no others: the place where a test
/// makes a disk full, broken or dead. Each returns what the call returns, -1 with errno for a
/// failure. Thread-safe. What is only read does not pass through here.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// open(2), of whatever is going to be written to or synced.
  virtual int Open(const std::string& path, int flags, unsigned int mode) = 0;
  virtual ssize_t Write(int fd, const char* data, std::size_t size, std::int64_t offset) = 0;
  virtual int Truncate(int fd, std::int64_t size_bytes) = 0;
  virtual int Sync(int fd) = 0;
  virtual int SetMode(int fd, unsigned int mode) = 0;
  virtual int SetTimesToNow(int fd) = 0;
  /// Makes `to` share the blocks of `from`.
  virtual int Clone(int from, int to) = 0;
  /// Another name for the inode that `fd` has open.
  virtual int Link(int fd, const std::string& to) = 0;
  virtual int Rename(const std::string& from, const std::string& to, unsigned int flags) = 0;
  virtual int Unlink(const std::string& path) = 0;
  virtual int MakeFolder(const std::string& path, unsigned int mode) = 0;
  virtual int RemoveFolder(const std::string& path) = 0;
};

/// The host's.
class HostFileSystem final : public FileSystem {
 public:
  int Open(const std::string& path, int flags, unsigned int mode) override {
    return ::open(path.c_str(), flags | O_CLOEXEC, mode);
  }
  ssize_t Write(int fd, const char* data, std::size_t size, std::int64_t offset) override {
    return ::pwrite(fd, data, size, offset);
  }
  int Truncate(int fd, std::int64_t size_bytes) override { return ::ftruncate(fd, size_bytes); }
  int Sync(int fd) override { return ::fsync(fd); }
  int SetMode(int fd, unsigned int mode) override { return ::fchmod(fd, mode); }
  int SetTimesToNow(int fd) override { return ::futimens(fd, nullptr); }
  int Clone(int from, int to) override { return ::ioctl(to, FICLONE, from); }
  int Link(int fd, const std::string& to) override {
    const std::string opened = fmt::format("/proc/self/fd/{}", fd);
    return ::linkat(AT_FDCWD, opened.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW);
  }
  int Rename(const std::string& from, const std::string& to, unsigned int flags) override {
    return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
  }
  int Unlink(const std::string& path) override { return ::unlink(path.c_str()); }
  int MakeFolder(const std::string& path, unsigned int mode) override {
    return ::mkdir(path.c_str(), mode);
  }
  int RemoveFolder(const std::string& path) override { return ::rmdir(path.c_str()); }
};

}  // namespace eagle::plugin
