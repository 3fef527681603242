#include "seeder/swarm.h"

#include <utility>

namespace eagle::seeder {
namespace {

absl::Status SessionEnded() {
  return absl::UnavailableError("the BitTorrent session has ended");
}

}  // namespace

// Callers share the lock, so that one that waits holds up nobody but Close().
absl::Status SessionSwarm::Seed(const std::string& metainfo, std::function<void()> announced) {
  const absl::ReaderMutexLock held(&mutex_);
  if (session_ == nullptr) return SessionEnded();
  return session_->Seed({metainfo, directory_}, std::move(announced));
}

absl::Status SessionSwarm::Download(const std::string& metainfo, const std::string& resume_data,
                                    const std::vector<std::string>& peers,
                                    swarm::DownloadObserver* observer) {
  const absl::ReaderMutexLock held(&mutex_);
  if (session_ == nullptr) return SessionEnded();
  return session_->Download({metainfo, directory_}, resume_data, peers, observer);
}

void SessionSwarm::Remove(const base::Digest& digest) {
  const absl::ReaderMutexLock held(&mutex_);
  if (session_ != nullptr) session_->Remove(digest);
}

swarm::SessionTotals SessionSwarm::Totals() const {
  const absl::ReaderMutexLock held(&mutex_);
  return session_ != nullptr ? session_->Totals() : swarm::SessionTotals();
}

void SessionSwarm::Close() {
  std::unique_ptr<swarm::Session> ended;
  const absl::MutexLock held(&mutex_);
  ended.swap(session_);
}

}  // namespace eagle::seeder
