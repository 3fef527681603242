#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/blob/blob_cache_impl.h"
#include "lib/blob/blob_files.h"

namespace eagle::blob {

void BlobCache::Impl::Erase(const base::Digest& digest) {
  const auto it = entries.find(digest);
  order.erase(it->second.place);
  entries.erase(it);
}

// Takes a departure back whose file could not be dropped.
void BlobCache::Impl::Stay(const base::Digest& digest) {
  Entry& entry = entries.at(digest);
  entry.leaving = false;
  bytes += entry.state.size_bytes;
}

// Strictly increasing, so that the order survives a restart even when the clock was set back.
std::chrono::system_clock::time_point BlobCache::Impl::NextUse() {
  const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(clock.WallNow());
  newest =
      std::max<std::chrono::system_clock::time_point>(now, newest + std::chrono::microseconds(1));
  return newest;
}

// What partial blobs have been promised and have not yet taken from the file system.
std::int64_t BlobCache::Impl::UnwrittenBytes() {
  std::int64_t unwritten = 0;
  for (const auto& [digest, entry] : entries) {
    if (entry.state.complete || entry.leaving) continue;
    const auto facts = StatBlobFile(PathOf(digest));
    const std::int64_t written = facts ? facts->disk_bytes : 0;
    unwritten += std::max<std::int64_t>(0, entry.state.size_bytes - written);
  }
  return unwritten;
}

// Of complete blobs whose file somebody else has a name for: their end would free nothing.
std::int64_t BlobCache::Impl::SharedBytes() {
  std::int64_t shared = 0;
  for (const auto& [digest, entry] : entries) {
    if (!entry.state.complete || entry.leaving) continue;
    const auto facts = StatBlobFile(PathOf(digest));
    if (facts && facts->links > 1) shared += entry.state.size_bytes;
  }
  return shared;
}

absl::StatusOr<Choice> BlobCache::Impl::Choose(std::int64_t size_bytes) {
  EAGLE_ASSIGN_OR_RETURN(const FileSystemSpace space, Space(blobs));
  EAGLE_ASSIGN_OR_RETURN(const std::int64_t free,
                         options.free_bytes ? options.free_bytes() : space.free_bytes);
  Choice choice;
  choice.over_limit = bytes - SharedBytes() + size_bytes - options.limit.bytes;
  choice.over_disk = size_bytes + UnwrittenBytes() - free - freeing_bytes;
  const std::int64_t min_free =
      std::max(options.min_free.bytes, space.total_bytes / 100 * options.min_free_percent);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (choice.over_limit <= 0 && choice.over_disk + min_free <= 0) break;
    const Entry& entry = entries.at(*it);
    if (!entry.visible() || entry.pins > 0) continue;
    const auto facts = StatBlobFile(PathOf(*it));
    if (facts && facts->links > 1) continue;
    const std::int64_t freed = facts ? facts->disk_bytes : 0;
    // A partial blob also gives its promise back.
    const std::int64_t promised =
        entry.state.complete ? 0 : std::max<std::int64_t>(0, entry.state.size_bytes - freed);
    if (choice.over_limit <= 0 && freed + promised == 0) continue;
    choice.victims.push_back({*it, freed});
    choice.over_limit -= entry.state.size_bytes;
    choice.over_disk -= freed + promised;
  }
  return choice;
}

absl::StatusOr<std::vector<Victim>> BlobCache::Impl::ChooseVictims(std::int64_t size_bytes) {
  if (size_bytes > options.limit.bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("{} bytes are more than the whole cache may hold ({}); raise its limit",
                    size_bytes, options.limit.str()));
  }
  EAGLE_ASSIGN_OR_RETURN(Choice choice, Choose(size_bytes));
  if (choice.over_limit > 0) {
    return absl::ResourceExhaustedError(
        fmt::format("no room for {} bytes: the blobs in use fill the cache's limit of {}",
                    size_bytes, options.limit.str()));
  }
  if (choice.over_disk > 0) {
    return absl::ResourceExhaustedError(
        fmt::format("no room for {} bytes: the file system of {} lacks {}; free some space there",
                    size_bytes, blobs, choice.over_disk));
  }
  return std::move(choice.victims);
}

void BlobCache::Impl::MarkLeaving(const std::vector<Victim>& victims) {
  for (const Victim& victim : victims) {
    Entry& entry = entries.at(victim.digest);
    entry.leaving = true;
    bytes -= entry.state.size_bytes;
    freeing_bytes += victim.disk_bytes;
  }
}

// The file goes first: a record without a file is dropped at the next start, whereas a file without
// a record would be hashed.
absl::Status BlobCache::Impl::DropFileAndRecord(const base::Digest& digest) {
  EAGLE_RETURN_IF_ERROR(UnlinkBlobFile(PathOf(digest)));
  return index->Delete(digest);
}

absl::Status BlobCache::Impl::Evict(const std::vector<Victim>& victims) {
  absl::Status result;
  for (const Victim& victim : victims) {
    std::shared_ptr<const EvictionHook> told;
    {
      const absl::MutexLock held(&mutex);
      told = hook;
    }
    if (told != nullptr && *told) (*told)(victim.digest);
    const absl::MutexLock changing(&index_mutex);
    const absl::Status dropped = DropFileAndRecord(victim.digest);
    const absl::MutexLock held(&mutex);
    Entry& entry = entries.at(victim.digest);
    freeing_bytes -= victim.disk_bytes;
    if (dropped.ok()) {
      evicted_bytes += entry.state.size_bytes;
      ++evicted_blobs;
      Erase(victim.digest);
    } else {
      Stay(victim.digest);
      result = base::Annotate(dropped, fmt::format("evict {}", victim.digest.str()));
    }
    settled.SignalAll();
  }
  return result;
}

// Makes the room and the record of an entry that is being reserved, or takes the entry back.
absl::Status BlobCache::Impl::Fill(const base::Digest& digest, const std::vector<Victim>& victims) {
  absl::Status status = Evict(victims);
  const absl::MutexLock changing(&index_mutex);
  BlobState state;
  std::chrono::system_clock::time_point last_used;
  {
    const absl::MutexLock held(&mutex);
    state = entries.at(digest).state;
    last_used = entries.at(digest).last_used;
  }
  if (status.ok()) status = index->PutState(digest, state);
  if (status.ok()) status = index->PutLastUsed(digest, last_used);
  const absl::MutexLock held(&mutex);
  if (status.ok()) {
    entries.at(digest).reserving = false;
  } else {
    bytes -= state.size_bytes;
    Erase(digest);
  }
  settled.SignalAll();
  return status;
}

absl::StatusOr<BlobCache::Pin> BlobCache::Reserve(const base::Digest& digest,
                                                  std::int64_t size_bytes) {
  if (size_bytes <= 0) {
    return absl::InvalidArgumentError(fmt::format("a blob can not have {} bytes", size_bytes));
  }
  std::vector<Victim> victims;
  std::uint64_t id = 0;
  {
    const absl::MutexLock held(&impl_->mutex);
    for (auto it = impl_->entries.find(digest); it != impl_->entries.end();
         it = impl_->entries.find(digest)) {
      if (it->second.visible()) {
        ++it->second.pins;
        return Pin(this, digest, it->second.id);
      }
      impl_->settled.Wait(&impl_->mutex);
    }
    EAGLE_ASSIGN_OR_RETURN(victims, impl_->ChooseVictims(size_bytes));
    impl_->MarkLeaving(victims);
    BlobIndex::Entry entry;
    entry.digest = digest;
    entry.state.size_bytes = size_bytes;
    entry.last_used = impl_->NextUse();
    impl_->Insert(entry);
    id = impl_->entries.at(digest).id;
    impl_->entries.at(digest).reserving = true;
    impl_->entries.at(digest).pins = 1;
  }
  EAGLE_RETURN_IF_ERROR(impl_->Fill(digest, victims));
  return Pin(this, digest, id);
}

absl::Status BlobCache::Trim() {
  std::vector<Victim> victims;
  {
    const absl::MutexLock held(&impl_->mutex);
    EAGLE_ASSIGN_OR_RETURN(Choice choice, impl_->Choose(0));
    victims = std::move(choice.victims);
    impl_->MarkLeaving(victims);
  }
  return impl_->Evict(victims);
}

absl::StatusOr<BlobCache::Pin> BlobCache::Acquire(const base::Digest& digest) {
  const absl::MutexLock held(&impl_->mutex);
  Entry* entry = impl_->Visible(digest);
  if (entry == nullptr) return NoSuchBlob(digest);
  ++entry->pins;
  return Pin(this, digest, entry->id);
}

BlobCache::Pin::Pin(Pin&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), digest_(other.digest_), entry_(other.entry_) {}

BlobCache::Pin& BlobCache::Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  Release();
  cache_ = std::exchange(other.cache_, nullptr);
  digest_ = other.digest_;
  entry_ = other.entry_;
  return *this;
}

BlobCache::Pin::~Pin() {
  Release();
}

void BlobCache::Pin::Release() {
  BlobCache* cache = std::exchange(cache_, nullptr);
  if (cache == nullptr) return;
  const absl::MutexLock held(&cache->impl_->mutex);
  const auto it = cache->impl_->entries.find(digest_);
  if (it != cache->impl_->entries.end() && it->second.id == entry_) --it->second.pins;
}

}  // namespace eagle::blob
