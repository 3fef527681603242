#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::cli {

/// A file below blobs/ of a content root.
struct StoredBlob {
  /// "sha256:<hex>", or the path below blobs/ when the name is none that containerd gives.
  std::string digest;
  std::string path;
  bool well_named = false;
  bool regular = false;
  std::int64_t size_bytes = 0;
  std::int64_t disk_bytes = 0;
  /// Names that the inode has: 2 is a layer that Eagle's cache shares.
  std::uint64_t links = 0;
  std::chrono::system_clock::time_point created_at;
};

/// An unfinished upload.
struct StoredIngest {
  std::string ref;
  std::int64_t size_bytes = 0;
};

/// Calls `visit` for every blob of the content root at `root`, in the order of the folder; one that
/// goes meanwhile is left out. Asks nobody: works with nothing running and beside a running plugin.
/// NOT_FOUND when there is no content root.
absl::Status ForEachBlob(const std::string& root,
                         const std::function<void(const StoredBlob&)>& visit);

absl::StatusOr<std::vector<StoredIngest>> ListIngests(const std::string& root);

/// What verifying found wrong with one blob.
struct BadBlob {
  StoredBlob blob;
  std::string problem;
};

struct VerifyResult {
  std::int64_t blobs = 0;
  std::int64_t bytes = 0;
  /// Named by another algorithm than SHA-256, so not hashed.
  std::int64_t unchecked = 0;
  std::vector<BadBlob> bad;
};

/// Hashes every blob and compares with its name: finds rotted and truncated blobs, and those whose
/// name or kind is wrong. Reads at most at `rate`, in memory of 1 MiB, without changing the time of
/// the last use and without pushing others out of the page cache.
absl::StatusOr<VerifyResult> VerifyStore(const std::string& root, base::ByteRate rate);

}  // namespace eagle::cli
