#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/unique_fd.h"
#include "plugin/blob_name.h"

namespace eagle::plugin {

/// A blob that is open for reading. Immutable, so its size is final and any number of threads may
/// read from it.
struct OpenBlob {
  base::UniqueFd fd;
  std::int64_t size_bytes = 0;
  /// When the inode was last changed in any way, also by losing a name.
  std::int64_t changed_at_ns = 0;
};

/// The blobs read most recently, kept open: containerd unpacks a layer with one Read call for every
/// 32 KiB, and open(2) would cost as much as the read. Thread-safe; never touches the disk.
class OpenBlobs {
 public:
  explicit OpenBlobs(std::size_t capacity) : capacity_(capacity) {}

  /// nullptr when it is not kept.
  std::shared_ptr<const OpenBlob> Find(const BlobName& name);

  /// To be taken before the file is opened, and given to Add().
  [[nodiscard]] std::uint64_t generation() const;
  /// Keeps `blob`, unless a blob was forgotten since `generation`: it may have been this one, and a
  /// deleted file that stays open would hold its space.
  void Add(const BlobName& name, std::shared_ptr<const OpenBlob> blob, std::uint64_t generation);
  void Forget(const BlobName& name);

 private:
  struct Entry {
    std::string name;
    std::shared_ptr<const OpenBlob> blob;
  };

  const std::size_t capacity_;
  mutable absl::Mutex mutex_;
  std::uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  // Most recently used first.
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::plugin
