#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::blob {

/// What the index knows of a blob. The file system is the truth: a record without a file is dropped
/// at Open(), a file without a record is deleted unless it can be adopted (FORMAT.md).
///
/// A blob's file may have a second name elsewhere (a hard link of the plugin's), so it is only ever
/// unlinked, never truncated or written again once it is complete.
struct BlobRecord {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  bool complete = false;
  /// Bencoded torrent; "" while unknown.
  std::string metainfo;
  /// Opaque resume state of an unfinished download; "" otherwise.
  std::string resume_data;
  /// "registry/repository", for re-fetching and for display.
  std::string source;
  std::chrono::system_clock::time_point last_used;
};

struct BlobCacheOptions {
  /// Files are `directory`/blobs/<hex>, the RocksDB index is `directory`/index.
  std::string directory;
  /// Of the blobs that eviction would free: a file with a second name does not count.
  base::ByteSize limit;
  /// What is to stay free on the file system, in bytes and in hundredths of it: unpinned blobs make
  /// way for it, but none is refused because of it.
  base::ByteSize min_free{};
  int min_free_percent = 0;
  /// Bytes that the file system of `directory` has free, for tests; by default statvfs(3)'s.
  std::function<absl::StatusOr<std::int64_t>()> free_bytes;
};

struct BlobCacheUsage {
  std::int64_t bytes = 0;  // of complete blobs, and all that partial ones will need
  std::int64_t blobs = 0;
  std::int64_t evicted_bytes = 0;  // since Open()
  std::int64_t evicted_blobs = 0;
};

/// The cache of sidecar and seeder: digest-addressed files, least recently used ones evicted by
/// bytes, with a RocksDB index that survives kill -9. Thread-safe; methods may block on the disk.
class BlobCache {
 public:
  /// Called before a complete or partial blob is deleted by eviction, so that the swarm lets go of
  /// it. No lock is held; the blob cannot be found or acquired meanwhile, and a Reserve() of it
  /// waits, so the hook must not wait for one.
  using EvictionHook = std::function<void(const base::Digest&)>;

  /// Keeps a blob from eviction while it lives. Move-only; must not outlive the cache.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&&) noexcept;
    Pin& operator=(Pin&&) noexcept;
    ~Pin();
    [[nodiscard]] bool valid() const { return cache_ != nullptr; }

   private:
    friend class BlobCache;
    Pin(BlobCache* cache, const base::Digest& digest, std::uint64_t entry)
        : cache_(cache), digest_(digest), entry_(entry) {}
    void Release();
    BlobCache* cache_ = nullptr;
    base::Digest digest_;
    // Which record of that digest: after Remove() another one may have taken its place.
    std::uint64_t entry_ = 0;
  };

  /// Locks the folder for this process (UNAVAILABLE when another one has it), reads the index (a
  /// damaged one is moved aside and rebuilt from the files), checks it against the files, and
  /// evicts what is beyond the limit. Reads whole files only when it adopts them.
  static absl::StatusOr<std::unique_ptr<BlobCache>> Open(const BlobCacheOptions& options,
                                                         const base::Clock& clock);
  ~BlobCache();
  BlobCache(const BlobCache&) = delete;
  BlobCache& operator=(const BlobCache&) = delete;

  void SetEvictionHook(EvictionHook hook);

  /// Every record, most recently used first.
  [[nodiscard]] std::vector<BlobRecord> List() const;
  [[nodiscard]] std::optional<BlobRecord> Find(const base::Digest& digest) const;

  /// Makes room for a blob of `size_bytes` by evicting what is unpinned and least recently used,
  /// and enters it as partial and pinned; making the file is the caller's. An existing record is
  /// returned as it is (and pinned), whatever its size. When even evicting everything unpinned
  /// would keep neither the limit nor the file system from overflowing (what other partial blobs
  /// still need is counted): RESOURCE_EXHAUSTED, and nothing was evicted. Waits while another
  /// thread reserves or evicts this digest.
  absl::StatusOr<Pin> Reserve(const base::Digest& digest, std::int64_t size_bytes);

  /// Evicts what is beyond the limit or in the way of `min_free`; to be called when files may have
  /// lost their second names, or others may have filled the file system.
  absl::Status Trim();

  /// Pins a blob that is there; NOT_FOUND otherwise.
  absl::StatusOr<Pin> Acquire(const base::Digest& digest);

  /// These are NOT_FOUND without a record. Metainfo and resume data: at most 16 MiB; source: 4 KiB.
  absl::Status SetMetainfo(const base::Digest& digest, const std::string& metainfo);
  absl::Status SetResumeData(const base::Digest& digest, const std::string& resume_data);
  absl::Status SetSource(const base::Digest& digest, const std::string& source);
  /// The file is whole, synced and 0444 (its type and size are checked: FAILED_PRECONDITION). Makes
  /// its name durable, drops resume data.
  absl::Status MarkComplete(const base::Digest& digest);
  /// Now is the last use. Written to the index lazily.
  void Touch(const base::Digest& digest);
  /// Unlinks the file and drops the record, pinned or not (bytes turned out wrong). A pin that is
  /// left holds nothing then. No such blob is no error. The hook is not called.
  absl::Status Remove(const base::Digest& digest);

  [[nodiscard]] std::string PathOf(const base::Digest& digest) const;
  /// The folder of all blob files.
  [[nodiscard]] const std::string& blobs_directory() const;
  [[nodiscard]] BlobCacheUsage Usage() const;
  [[nodiscard]] base::ByteSize limit() const;

 private:
  struct Impl;
  explicit BlobCache(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::blob
