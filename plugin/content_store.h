#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "plugin/blob_name.h"
#include "plugin/open_blobs.h"
#include "plugin/store_files.h"

namespace eagle::plugin {

struct BlobInfo {
  BlobName name;
  std::int64_t size_bytes = 0;
  std::chrono::system_clock::time_point created_at;
  std::chrono::system_clock::time_point updated_at;
};

/// The committed blobs, in the layout of containerd's built-in store (blobs/<algorithm>/<hex> below
/// the root), so that either can take over from the other. Thread-safe; methods block on the disk
/// unless they say otherwise.
class ContentStore {
 public:
  /// Makes the folders. Holds the root for this process: UNAVAILABLE when another one keeps it for
  /// longer than a restart takes. All changes to the disk go through `system`.
  static absl::StatusOr<std::unique_ptr<ContentStore>> Open(
      const std::string& root,
      std::unique_ptr<FileSystem> system = std::make_unique<HostFileSystem>());

  /// NOT_FOUND when there is none.
  [[nodiscard]] absl::StatusOr<BlobInfo> Info(const BlobName& name) const;

  /// Calls `visit` for every blob, until it returns false. Blobs that come or go meanwhile may or
  /// may not be seen.
  absl::Status Walk(const std::function<bool(const BlobInfo&)>& visit) const;

  /// Deleting what is not there is no error, as in the built-in store.
  absl::Status Delete(const BlobName& name);

  /// The blob for reading. NOT_FOUND when there is none.
  absl::StatusOr<std::shared_ptr<const OpenBlob>> OpenForRead(const BlobName& name);
  /// The same if the blob is open already and unchanged since, else nullptr. Does not block.
  std::shared_ptr<const OpenBlob> FindOpen(const BlobName& name);

  /// Moves `file`, which is synced and on the store's file system, to its place and makes that
  /// durable. ALREADY_EXISTS, and `file` stays, when the blob is there. On any other failure the
  /// blob is not there, as far as the disk lets us.
  absl::Status Publish(const std::string& file, const BlobName& name);

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] const StoreFiles& files() const { return files_; }
  [[nodiscard]] std::string PathOf(const BlobName& name) const;

 private:
  ContentStore(std::string root, std::unique_ptr<FileSystem> system);

  absl::Status Lock();

  const std::string root_;
  const StoreFiles files_;
  base::UniqueFd root_lock_;
  OpenBlobs open_blobs_;
};

}  // namespace eagle::plugin
