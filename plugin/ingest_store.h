#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "plugin/content_store.h"
#include "plugin/ingest.h"
#include "plugin/ingest_locks.h"

namespace eagle::plugin {

struct IngestStatus {
  std::string ref;
  /// Of the file, or of the transfer that is about to become it.
  std::int64_t offset = 0;
  std::int64_t total = 0;
  std::chrono::system_clock::time_point started_at;
  std::chrono::system_clock::time_point updated_at;
};

/// The unfinished blobs, in the layout of containerd's built-in store
/// (ingest/<sha256 of the ref>/{data,ref,startedat,updatedat,total}, and a mark of ours, boot).
/// Thread-safe; methods block on the disk. Outlives its ingests.
class IngestStore {
 public:
  /// Removes what can be neither resumed nor listed: also what was written before this boot of the
  /// machine, as a file whose bytes were never synced may have the right size and be full of zeros.
  static absl::StatusOr<std::unique_ptr<IngestStore>> Open(ContentStore& blobs,
                                                           const std::string& boot = CurrentBoot());
  /// A name for the time since the machine was started.
  static std::string CurrentBoot();

  /// Opens or resumes the ingest of `ref`; `total_bytes` 0 is unknown. UNAVAILABLE when another
  /// stream has it. One that cannot be resumed, or had another total, starts afresh. With an
  /// `expected` digest (not "") ALREADY_EXISTS when the blob is there, which leaves an ingest
  /// alone, and INVALID_ARGUMENT when it is none.
  absl::StatusOr<std::unique_ptr<Ingest>> OpenIngest(const std::string& ref,
                                                     std::int64_t total_bytes,
                                                     const std::string& expected);

  /// NOT_FOUND when there is none.
  [[nodiscard]] absl::StatusOr<IngestStatus> Status(const std::string& ref) const;
  [[nodiscard]] absl::StatusOr<std::vector<IngestStatus>> List() const;

  /// Removes the ingest, also from under a stream that writes to it. No error when there is none:
  /// containerd would keep its own record of it for ever.
  absl::Status Abort(const std::string& ref);

  /// How many there are. Does not block.
  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  friend class Ingest;
  IngestStore(ContentStore& blobs, std::string boot);

  [[nodiscard]] std::string FolderOf(const std::string& ref) const;
  [[nodiscard]] absl::StatusOr<IngestStatus> ReadStatus(const std::string& folder) const;
  absl::Status Create(const std::string& folder, const std::string& ref, std::int64_t total_bytes);
  absl::Status RemoveFolder(const std::string& folder);

  ContentStore& blobs_;
  const std::string root_;
  const std::string boot_;
  IngestLocks locks_;
  std::atomic<std::uint64_t> removals_ = 0;
  std::atomic<std::int64_t> count_ = 0;
};

}  // namespace eagle::plugin
