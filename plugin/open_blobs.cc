#include "plugin/open_blobs.h"

#include <utility>

namespace eagle::plugin {

std::shared_ptr<const OpenBlob> OpenBlobs::Find(const BlobName& name) {
  absl::MutexLock lock(&mutex_);
  const auto found = index_.find(name.str());
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->blob;
}

std::uint64_t OpenBlobs::generation() const {
  absl::MutexLock lock(&mutex_);
  return generation_;
}

void OpenBlobs::Add(const BlobName& name, std::shared_ptr<const OpenBlob> blob,
                    std::uint64_t generation) {
  absl::MutexLock lock(&mutex_);
  if (generation != generation_ || index_.contains(name.str())) return;
  entries_.push_front({name.str(), std::move(blob)});
  index_.emplace(name.str(), entries_.begin());
  if (entries_.size() > capacity_) {
    index_.erase(entries_.back().name);
    entries_.pop_back();
  }
}

void OpenBlobs::Forget(const BlobName& name) {
  absl::MutexLock lock(&mutex_);
  ++generation_;
  const auto found = index_.find(name.str());
  if (found == index_.end()) return;
  entries_.erase(found->second);
  index_.erase(found);
}

}  // namespace eagle::plugin
