#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/unique_fd.h"
#include "lib/blob/blob_cache.h"
#include "lib/blob/blob_index.h"

// The inside of BlobCache, shared by its three sources: opening, room and pins, records.
namespace eagle::blob {

/// What memory has of a blob.
struct Entry {
  std::uint64_t id = 0;
  BlobState state;
  std::chrono::system_clock::time_point last_used;
  std::chrono::system_clock::time_point last_used_in_index;
  int pins = 0;
  // Room for it is being made: nobody but its Reserve() sees it.
  bool reserving = false;
  // Being evicted or removed: nobody sees it any more.
  bool leaving = false;
  std::list<base::Digest>::iterator place;

  [[nodiscard]] bool visible() const { return !reserving && !leaving; }
};

/// A blob chosen for eviction.
struct Victim {
  base::Digest digest;
  // What its end gives back to the file system.
  std::int64_t disk_bytes = 0;
};

/// What eviction can do for a need, and what it can not.
struct Choice {
  std::vector<Victim> victims;
  std::int64_t over_limit = 0;  // still, when they are gone; 0 or less is none
  std::int64_t over_disk = 0;
};

absl::Status NoSuchBlob(const base::Digest& digest);

struct BlobCache::Impl {
  Impl(const BlobCacheOptions& opts, const base::Clock& clk) : options(opts), clock(clk) {}

  const BlobCacheOptions options;
  const base::Clock& clock;
  std::string blobs;
  base::UniqueFd lock;
  std::unique_ptr<BlobIndex> index;

  // Taken before `mutex`; serialises changes of the index, so that readers never wait for its disk.
  absl::Mutex index_mutex ABSL_ACQUIRED_BEFORE(mutex);
  mutable absl::Mutex mutex;
  absl::CondVar settled;  // some entry is no longer being reserved or evicted
  absl::flat_hash_map<base::Digest, Entry> entries ABSL_GUARDED_BY(mutex);
  std::list<base::Digest> order ABSL_GUARDED_BY(mutex);  // most recently used first
  std::int64_t bytes ABSL_GUARDED_BY(mutex) = 0;
  std::int64_t freeing_bytes ABSL_GUARDED_BY(mutex) = 0;  // on disk, of victims not yet unlinked
  std::int64_t evicted_bytes ABSL_GUARDED_BY(mutex) = 0;
  std::int64_t evicted_blobs ABSL_GUARDED_BY(mutex) = 0;
  std::chrono::system_clock::time_point newest ABSL_GUARDED_BY(mutex);
  std::uint64_t next_id ABSL_GUARDED_BY(mutex) = 1;
  std::shared_ptr<const EvictionHook> hook ABSL_GUARDED_BY(mutex);

  absl::Status Load();
  bool Keep(BlobIndex::Entry* entry);
  absl::Status Adopt(const base::Digest& digest, std::vector<BlobIndex::Entry>* kept);
  void Insert(const BlobIndex::Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  [[nodiscard]] std::string PathOf(const base::Digest& digest) const {
    return blobs + "/" + digest.hex();
  }
  Entry* Visible(const base::Digest& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Erase(const base::Digest& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Stay(const base::Digest& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  std::chrono::system_clock::time_point NextUse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  BlobRecord RecordOf(const base::Digest& digest, const Entry& entry) const;

  std::int64_t UnwrittenBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  std::int64_t SharedBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<Choice> Choose(std::int64_t size_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<std::vector<Victim>> ChooseVictims(std::int64_t size_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void MarkLeaving(const std::vector<Victim>& victims) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status Evict(const std::vector<Victim>& victims) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status DropFileAndRecord(const base::Digest& digest) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status Fill(const base::Digest& digest, const std::vector<Victim>& victims);

  template <typename Change>
  absl::Status ChangeRecord(const base::Digest& digest, const Change& change)
      ABSL_LOCKS_EXCLUDED(mutex);
};

}  // namespace eagle::blob
