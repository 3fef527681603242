#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "lib/base/file.h"
#include "lib/blob/blob_cache_impl.h"
#include "lib/blob/blob_files.h"
#include "lib/observe/log.h"

namespace eagle::blob {

absl::StatusOr<std::unique_ptr<BlobCache>> BlobCache::Open(const BlobCacheOptions& options,
                                                           const base::Clock& clock) {
  auto impl = std::make_unique<Impl>(options, clock);
  impl->blobs = options.directory + "/blobs";
  EAGLE_RETURN_IF_ERROR(base::MakeDirectories(impl->blobs));
  const std::string lock_path = options.directory + "/lock";
  EAGLE_ASSIGN_OR_RETURN(impl->lock, base::OpenFile(lock_path, O_RDWR | O_CREAT, 0600));
  if (::flock(impl->lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::ErrnoError(errno, fmt::format("lock {}", lock_path));
    return absl::UnavailableError(
        fmt::format("{} is in use by another process; stop that one first", options.directory));
  }
  EAGLE_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<BlobCache>(new BlobCache(std::move(impl)));
}

// Whether file and record agree; makes a whole file with an unfinished record complete.
bool BlobCache::Impl::Keep(BlobIndex::Entry* entry) {
  const auto facts = StatBlobFile(PathOf(entry->digest));
  if (!facts || facts->size_bytes > entry->state.size_bytes) return false;
  if (entry->state.complete) return facts->size_bytes == entry->state.size_bytes;
  if (!facts->read_only) return true;
  // The process ended between finishing the file and saying so.
  const auto digest = HashBlobFile(PathOf(entry->digest));
  if (!digest.ok() || *digest != entry->digest) return false;
  entry->state.complete = true;
  return index->PutComplete(entry->digest, entry->state).ok();
}

// A file without a record: complete ones were made read-only, so nothing else is worth hashing.
absl::Status BlobCache::Impl::Adopt(const base::Digest& digest,
                                    std::vector<BlobIndex::Entry>* kept) {
  const std::string path = PathOf(digest);
  const auto facts = StatBlobFile(path);
  if (facts && facts->read_only && facts->size_bytes > 0) {
    const auto hash = HashBlobFile(path);
    if (hash.ok() && *hash == digest) {
      BlobIndex::Entry entry;
      entry.digest = digest;
      entry.state.size_bytes = facts->size_bytes;
      entry.state.complete = true;
      EAGLE_RETURN_IF_ERROR(index->PutState(digest, entry.state));
      kept->push_back(std::move(entry));
      observe::Info("blob_adopted", "digest", digest.str(), "bytes", facts->size_bytes);
      return absl::OkStatus();
    }
  }
  observe::Info("blob_dropped", "digest", digest.str(), "reason", "no record in the index");
  return UnlinkBlobFile(path);
}

absl::Status BlobCache::Impl::Load() {
  std::vector<BlobIndex::Entry> entries_in_index;
  EAGLE_ASSIGN_OR_RETURN(index, BlobIndex::Open(options.directory + "/index", &entries_in_index));
  std::vector<BlobIndex::Entry> kept;
  absl::flat_hash_set<base::Digest> known;
  for (BlobIndex::Entry& entry : entries_in_index) {
    known.insert(entry.digest);
    if (Keep(&entry)) {
      kept.push_back(std::move(entry));
      continue;
    }
    observe::Info("blob_dropped", "digest", entry.digest.str(), "reason",
                  "file and record do not agree");
    EAGLE_RETURN_IF_ERROR(DropFileAndRecord(entry.digest));
  }
  EAGLE_ASSIGN_OR_RETURN(const std::vector<base::Digest> files, ListBlobFiles(blobs));
  for (const base::Digest& digest : files) {
    if (!known.contains(digest)) EAGLE_RETURN_IF_ERROR(Adopt(digest, &kept));
  }
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) {
    return a.last_used != b.last_used ? a.last_used < b.last_used : a.digest < b.digest;
  });
  std::vector<Victim> beyond_limit;
  {
    const absl::MutexLock held(&mutex);
    for (const BlobIndex::Entry& entry : kept) Insert(entry);
    EAGLE_ASSIGN_OR_RETURN(Choice choice, Choose(0));
    beyond_limit = std::move(choice.victims);
    MarkLeaving(beyond_limit);
  }
  return Evict(beyond_limit);
}

void BlobCache::Impl::Insert(const BlobIndex::Entry& loaded) {
  Entry& entry = entries[loaded.digest];
  entry.id = next_id++;
  entry.state = loaded.state;
  entry.last_used = entry.last_used_in_index = loaded.last_used;
  entry.place = order.insert(order.begin(), loaded.digest);
  newest = std::max(newest, loaded.last_used);
  bytes += entry.state.size_bytes;
}

BlobCache::BlobCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

BlobCache::~BlobCache() {
  const absl::MutexLock changing(&impl_->index_mutex);
  const absl::MutexLock held(&impl_->mutex);
  for (const auto& [digest, entry] : impl_->entries) {
    if (entry.last_used == entry.last_used_in_index) continue;
    // What is lost here is only the order of the last few uses.
    (void)impl_->index->PutLastUsed(digest, entry.last_used);
  }
}

}  // namespace eagle::blob
