#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "plugin/verified_file.h"

namespace eagle::plugin {

/// Takes finished layers over from the sidecar's cache, which we share a file system with but do
/// not trust. Thread-safe.
class HandOver {
 public:
  struct Options {
    /// Finished layers are <cache_dir>/blobs/<hex>.
    std::string cache_dir;
    /// How long a writer may still be letting go of the file.
    std::chrono::milliseconds writer_patience{500};
  };

  /// From here on the process ignores SIGIO: the kernel sends it when a lease of ours is broken,
  /// and it would end us.
  explicit HandOver(Options options);

  /// Makes the inode ours (root, 0444), proves that nobody holds it open for writing, and hashes
  /// all of it. Blocks for as long as that takes; CANCELLED soon after `cancelled` is set.
  /// NOT_FOUND: no such file. FAILED_PRECONDITION: not a regular file, of another size, or still
  /// open for writing. DATA_LOSS: other bytes than the digest says; whoever made it must be told.
  absl::StatusOr<std::shared_ptr<const VerifiedFile>> Take(
      const base::Digest& digest, std::int64_t size_bytes,
      const std::atomic<bool>& cancelled) const;

 private:
  [[nodiscard]] absl::Status ProveNoWriter(int fd, const std::atomic<bool>& cancelled) const;

  const Options options_;
};

}  // namespace eagle::plugin
