#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/blob/blob_record.h"

namespace eagle::blob {

/// The records of all blobs in a RocksDB of their own (FORMAT.md). Thread-safe; writes are durable
/// when they return, except those that say otherwise.
class BlobIndex {
 public:
  struct Entry {
    base::Digest digest;
    BlobState state;
    std::chrono::system_clock::time_point last_used;
  };

  /// Opens or makes the database and reads every record into `entries`. One that cannot be read is
  /// moved to `<path>.damaged` (which replaces an older one there) and an empty one is made.
  static absl::StatusOr<std::unique_ptr<BlobIndex>> Open(const std::string& path,
                                                         std::vector<Entry>* entries);
  ~BlobIndex();
  BlobIndex(const BlobIndex&) = delete;
  BlobIndex& operator=(const BlobIndex&) = delete;

  absl::Status PutState(const base::Digest& digest, const BlobState& state);
  /// PutState(), and drops the resume data, in one step.
  absl::Status PutComplete(const base::Digest& digest, const BlobState& state);
  absl::Status PutMetainfo(const base::Digest& digest, const std::string& metainfo);
  /// Survives kill -9, but the last one may be lost with the power.
  absl::Status PutResumeData(const base::Digest& digest, const std::string& resume_data);
  /// As PutResumeData().
  absl::Status PutLastUsed(const base::Digest& digest,
                           std::chrono::system_clock::time_point last_used);
  /// Drops everything about the blob.
  absl::Status Delete(const base::Digest& digest);

  /// "" when there is none or it cannot be read.
  [[nodiscard]] std::string Metainfo(const base::Digest& digest) const;
  [[nodiscard]] std::string ResumeData(const base::Digest& digest) const;

 private:
  struct Impl;
  explicit BlobIndex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::blob
