#include "lib/blob/blob_cache.h"

#include <fmt/format.h>

#include <utility>

#include "lib/base/file.h"
#include "lib/blob/blob_cache_impl.h"
#include "lib/blob/blob_files.h"

namespace eagle::blob {
namespace {

// How old the index's last use may be before Touch() writes it again.
constexpr std::chrono::seconds kLastUsedLag{10};

}  // namespace

absl::Status NoSuchBlob(const base::Digest& digest) {
  return absl::NotFoundError(fmt::format("{} is not in the cache", digest.str()));
}

Entry* BlobCache::Impl::Visible(const base::Digest& digest) {
  const auto it = entries.find(digest);
  return it != entries.end() && it->second.visible() ? &it->second : nullptr;
}

void BlobCache::SetEvictionHook(EvictionHook hook) {
  const absl::MutexLock held(&impl_->mutex);
  impl_->hook = std::make_shared<const EvictionHook>(std::move(hook));
}

BlobRecord BlobCache::Impl::RecordOf(const base::Digest& digest, const Entry& entry) const {
  BlobRecord record;
  record.digest = digest;
  record.size_bytes = entry.state.size_bytes;
  record.complete = entry.state.complete;
  record.source = entry.state.source;
  record.last_used = entry.last_used;
  return record;
}

std::vector<BlobRecord> BlobCache::List() const {
  std::vector<BlobRecord> records;
  {
    const absl::MutexLock held(&impl_->mutex);
    for (const base::Digest& digest : impl_->order) {
      const Entry& entry = impl_->entries.at(digest);
      if (entry.visible()) records.push_back(impl_->RecordOf(digest, entry));
    }
  }
  for (BlobRecord& record : records) {
    record.metainfo = impl_->index->Metainfo(record.digest);
    if (!record.complete) record.resume_data = impl_->index->ResumeData(record.digest);
  }
  return records;
}

std::optional<BlobRecord> BlobCache::Find(const base::Digest& digest) const {
  std::optional<BlobRecord> record;
  {
    const absl::MutexLock held(&impl_->mutex);
    const Entry* entry = impl_->Visible(digest);
    if (entry == nullptr) return std::nullopt;
    record = impl_->RecordOf(digest, *entry);
  }
  record->metainfo = impl_->index->Metainfo(digest);
  if (!record->complete) record->resume_data = impl_->index->ResumeData(digest);
  return record;
}

// Runs `change` on a copy of the state; what it wrote to the index becomes the entry's state.
template <typename Change>
absl::Status BlobCache::Impl::ChangeRecord(const base::Digest& digest, const Change& change) {
  const absl::MutexLock changing(&index_mutex);
  BlobState state;
  {
    const absl::MutexLock held(&mutex);
    const Entry* entry = Visible(digest);
    if (entry == nullptr) return NoSuchBlob(digest);
    state = entry->state;
  }
  EAGLE_RETURN_IF_ERROR(change(&state));
  const absl::MutexLock held(&mutex);
  // An eviction may have begun since; it holds the entry until it has the index.
  if (const auto it = entries.find(digest); it != entries.end()) it->second.state = state;
  return absl::OkStatus();
}

absl::Status BlobCache::SetMetainfo(const base::Digest& digest, const std::string& metainfo) {
  if (metainfo.size() > kMaxMetainfoBytes) return absl::InvalidArgumentError("metainfo too large");
  return impl_->ChangeRecord(
      digest, [&](BlobState*) { return impl_->index->PutMetainfo(digest, metainfo); });
}

absl::Status BlobCache::SetResumeData(const base::Digest& digest, const std::string& resume_data) {
  if (resume_data.size() > kMaxMetainfoBytes) {
    return absl::InvalidArgumentError("resume data too large");
  }
  return impl_->ChangeRecord(digest, [&](BlobState* state) {
    // A late report about a download that is complete by now.
    if (state->complete) return absl::OkStatus();
    return impl_->index->PutResumeData(digest, resume_data);
  });
}

absl::Status BlobCache::SetSource(const base::Digest& digest, const std::string& source) {
  if (source.size() > kMaxSourceBytes) return absl::InvalidArgumentError("source too long");
  return impl_->ChangeRecord(digest, [&](BlobState* state) {
    state->source = source;
    return impl_->index->PutState(digest, *state);
  });
}

absl::Status BlobCache::MarkComplete(const base::Digest& digest) {
  return impl_->ChangeRecord(digest, [&](BlobState* state) -> absl::Status {
    const auto facts = StatBlobFile(PathOf(digest));
    if (!facts || facts->size_bytes != state->size_bytes || !facts->read_only) {
      return absl::FailedPreconditionError(
          fmt::format("{} is no read-only file of {} bytes", PathOf(digest), state->size_bytes));
    }
    EAGLE_RETURN_IF_ERROR(base::SyncDirectory(impl_->blobs));
    state->complete = true;
    return impl_->index->PutComplete(digest, *state);
  });
}

void BlobCache::Touch(const base::Digest& digest) {
  std::chrono::system_clock::time_point used;
  {
    const absl::MutexLock held(&impl_->mutex);
    Entry* entry = impl_->Visible(digest);
    if (entry == nullptr) return;
    used = entry->last_used = impl_->NextUse();
    impl_->order.splice(impl_->order.begin(), impl_->order, entry->place);
    if (used - entry->last_used_in_index < kLastUsedLag) return;
  }
  // Only the order of eviction depends on it, so a failure has no consequence worth reporting.
  (void)impl_->ChangeRecord(digest, [&](BlobState*) {
    EAGLE_RETURN_IF_ERROR(impl_->index->PutLastUsed(digest, used));
    const absl::MutexLock held(&impl_->mutex);
    if (Entry* entry = impl_->Visible(digest)) entry->last_used_in_index = used;
    return absl::OkStatus();
  });
}

absl::Status BlobCache::Remove(const base::Digest& digest) {
  const absl::MutexLock changing(&impl_->index_mutex);
  {
    const absl::MutexLock held(&impl_->mutex);
    const auto it = impl_->entries.find(digest);
    if (it == impl_->entries.end() || it->second.reserving) return absl::OkStatus();
    // The eviction still needs the entry; the bytes go now.
    if (it->second.leaving) return UnlinkBlobFile(PathOf(digest));
    it->second.leaving = true;
    impl_->bytes -= it->second.state.size_bytes;
  }
  const absl::Status dropped = impl_->DropFileAndRecord(digest);
  const absl::MutexLock held(&impl_->mutex);
  if (dropped.ok()) {
    impl_->Erase(digest);
  } else {
    impl_->Stay(digest);
  }
  impl_->settled.SignalAll();
  return dropped;
}

std::string BlobCache::PathOf(const base::Digest& digest) const {
  return impl_->PathOf(digest);
}

const std::string& BlobCache::blobs_directory() const {
  return impl_->blobs;
}

BlobCacheUsage BlobCache::Usage() const {
  const absl::MutexLock held(&impl_->mutex);
  BlobCacheUsage usage;
  usage.bytes = impl_->bytes;
  for (const auto& [digest, entry] : impl_->entries) usage.blobs += entry.visible() ? 1 : 0;
  usage.evicted_bytes = impl_->evicted_bytes;
  usage.evicted_blobs = impl_->evicted_blobs;
  return usage;
}

base::ByteSize BlobCache::limit() const {
  return impl_->options.limit;
}

}  // namespace eagle::blob
