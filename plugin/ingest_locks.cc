#include "plugin/ingest_locks.h"

namespace eagle::plugin {

std::optional<IngestLocks::Lock> IngestLocks::TryLock(const std::string& ref) {
  absl::MutexLock lock(&mutex_);
  auto& live = held_[ref];
  if (live != nullptr) return std::nullopt;
  live = std::make_shared<std::atomic<std::int64_t>>(0);
  return Lock(this, ref, live);
}

std::int64_t IngestLocks::LiveOffset(const std::string& ref) const {
  absl::MutexLock lock(&mutex_);
  const auto found = held_.find(ref);
  return found == held_.end() ? 0 : found->second->load(std::memory_order_relaxed);
}

void IngestLocks::Release(const std::string& ref) {
  absl::MutexLock lock(&mutex_);
  held_.erase(ref);
}

}  // namespace eagle::plugin
