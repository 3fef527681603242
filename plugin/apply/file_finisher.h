#pragma once

#include <sys/stat.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace eagle::apply {

/// What a regular file has besides its bytes and extended attributes.
struct FileAttributes {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t permissions = 0;
  /// Of access and modification.
  std::array<timespec, 2> times{};
};

/// Sets the owner where it differs: each change is a journalled one, a look is none.
absl::Status SetOwner(int fd, const FileAttributes& attributes);
/// Sets permissions, where they differ, and times. After the owner, whose change takes set-id bits
/// away.
absl::Status SetPermissionsAndTimes(int fd, const FileAttributes& attributes);

/// Gives new files their bytes and attributes on a thread of its own, while the caller makes the
/// next ones: making a file and filling it cost about the same. The caller holds the file open
/// before it hands it over, so whatever happens to its name afterwards is in the archive's order.
/// One thread calls; a few dozen files are open at most.
class FileFinisher {
 public:
  struct File {
    base::UniqueFd fd;
    std::string data;
    FileAttributes attributes;
    /// For the error.
    std::string name;
  };

  FileFinisher() = default;
  /// Ends without finishing what was not flushed.
  ~FileFinisher();
  FileFinisher(const FileFinisher&) = delete;
  FileFinisher& operator=(const FileFinisher&) = delete;

  /// Blocks while too much is waiting.
  void Add(File file);
  /// Blocks until all files are finished.
  void Flush();
  /// The first error so far, with the name of its file; no file is finished after it.
  [[nodiscard]] absl::Status status();

 private:
  void HandOver();
  void Run();
  [[nodiscard]] static absl::Status Finish(const File& file);

  // Being filled by the caller.
  std::vector<File> batch_;
  std::size_t batch_bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<File> waiting_;
  bool working_ = false;
  bool stopping_ = false;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace eagle::apply
