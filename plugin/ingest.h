#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "plugin/blob_name.h"
#include "plugin/content_store.h"
#include "plugin/ingest_locks.h"
#include "plugin/verified_file.h"

namespace eagle::plugin {

class IngestStore;

/// How a finished layer came into an ingest, cheapest first.
enum class AdoptKind { kLink, kReflink, kCopy };

/// One blob that is being written, and the lock on its ref. Its bytes are a file of its own, or a
/// hard link to a finished layer (of the cache or of another blob); such a file is never written
/// to: whoever wants to gets a fresh one first.
///
/// Not thread-safe. Methods with a Status block on the disk. The destructor
/// gives up the lock and leaves the files for a later stream to resume.
class Ingest {
 public:
  Ingest(Ingest&&) = delete;
  ~Ingest();

  [[nodiscard]] const std::string& ref() const { return ref_; }
  [[nodiscard]] std::int64_t offset() const { return offset_; }
  [[nodiscard]] std::chrono::system_clock::time_point started_at() const { return started_at_; }
  [[nodiscard]] std::chrono::system_clock::time_point updated_at() const { return updated_at_; }
  /// As remembered on disk by whoever opened it first; 0 when unknown.
  [[nodiscard]] std::int64_t total() const { return total_; }

  /// Of the bytes so far; nullopt until the bytes of an earlier stream have been hashed.
  [[nodiscard]] std::optional<base::Digest> digest() const;
  /// Hashes those. CANCELLED soon after `cancelled` is set.
  absl::Status HashExisting(const std::atomic<bool>& cancelled);

  /// On failure the ingest is as before, as far as the disk lets us.
  absl::Status Append(std::string_view data);
  /// Back to nothing.
  absl::Status Truncate();
  /// Makes the bytes so far durable. An ingest for which that failed once is removed, and fails for
  /// good.
  absl::Status Sync();

  /// Makes `file` the whole content, durable. Only at offset 0. On failure nothing has changed.
  absl::StatusOr<AdoptKind> Adopt(const VerifiedFile& file, const std::atomic<bool>& cancelled);

  /// Turns the ingest into a blob. FAILED_PRECONDITION when `size_bytes` (if > 0) or `expected` (if
  /// not "") does not fit: the bytes stay, as in the built-in store. ALREADY_EXISTS when the blob
  /// is there: the ingest is removed then.
  absl::Status Commit(std::int64_t size_bytes, const std::string& expected);

  absl::Status Remove();

  /// The whole content, if it is no more than `max_bytes`.
  [[nodiscard]] std::optional<std::string> Content(std::int64_t max_bytes) const;

  /// What Status calls see while a transfer is under way.
  [[nodiscard]] const LiveOffsetPtr& live() const { return lock_.live(); }
  /// Commit() has neither to hash nor to sync.
  [[nodiscard]] bool settled() const { return !dirty_ && digest().has_value(); }

 private:
  friend class IngestStore;
  Ingest(IngestStore& owner, ContentStore& blobs, IngestLocks::Lock lock, std::string ref);

  [[nodiscard]] std::string DataPath() const { return folder_ + "/data"; }
  [[nodiscard]] std::string NewDataPath() const { return folder_ + "/data.new"; }
  [[nodiscard]] const StoreFiles& files() const;
  absl::Status OpenData();
  absl::StatusOr<base::UniqueFd> CreateNewData();
  absl::Status MakePrivate(std::int64_t keep_bytes);
  absl::StatusOr<AdoptKind> Link(const VerifiedFile& file, const std::atomic<bool>& cancelled);
  absl::Status Publish(const BlobName& name);

  IngestStore& owner_;
  ContentStore& blobs_;
  IngestLocks::Lock lock_;
  const std::string ref_;
  const std::string folder_;
  std::int64_t total_ = 0;
  std::chrono::system_clock::time_point started_at_;
  std::chrono::system_clock::time_point updated_at_;

  // Opened read-only while it is shared.
  base::UniqueFd data_;
  std::int64_t offset_ = 0;
  // The data has other names than ours, or is otherwise not ours to write to.
  bool shared_ = false;
  bool dirty_ = true;
  absl::Status unsyncable_;

  // Covers the first hashed_ bytes. adopted_, when set, is the digest of all without hashing.
  base::Sha256 hasher_;
  std::int64_t hashed_ = 0;
  std::optional<base::Digest> adopted_;
};

}  // namespace eagle::plugin
