#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "seeder/storage.h"

namespace eagle::seeder {

/// The layers that an operator keeps from eviction, in a file beside the layers, so that a restart
/// keeps them too. Only while the storage opens, and only when its limit has been lowered below
/// what it holds, may a pinned layer go. Thread-safe; methods block on the disk.
class LayerPins {
 public:
  /// `storage` must outlive it. Pins what `path` names ("sha256:<hex>" a line) and is still there;
  /// the rest is forgotten. An unreadable line or file is an error: INVALID_ARGUMENT, or errno's.
  static absl::StatusOr<std::unique_ptr<LayerPins>> Open(Storage& storage, std::string path);

  /// NOT_FOUND unless the complete layer is on the disk. Pinned twice is pinned. On an error of the
  /// file nothing has changed.
  absl::Status Pin(const base::Digest& digest);
  /// NOT_FOUND when it is not pinned.
  absl::Status Unpin(const base::Digest& digest);
  [[nodiscard]] bool Has(const base::Digest& digest) const;

 private:
  LayerPins(Storage& storage, std::string path) : storage_(storage), path_(std::move(path)) {}

  absl::Status Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Storage& storage_;
  const std::string path_;
  mutable absl::Mutex mutex_;
  std::map<base::Digest, std::unique_ptr<LayerPin>> pins_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::seeder
