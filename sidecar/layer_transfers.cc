#include "sidecar/layer_transfers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "lib/observe/log.h"
#include "sidecar/layer_transfer.h"

namespace eagle::sidecar {
namespace {

// A listener is told at least every 250 ms; ticks come every 100.
constexpr std::chrono::milliseconds kTellEvery{150};
constexpr std::chrono::seconds kMeasureEvery{1};
// Layers of images that somebody is about to pull: far beyond what one node pulls at a time.
constexpr std::size_t kLongestQueue = 4096;

const Failure kShutDown{FailureReason::kShuttingDown, "the sidecar is shutting down"};

void AddNew(const std::vector<Source>& from, std::vector<Source>* to) {
  for (const Source& source : from) {
    if (std::find(to->begin(), to->end(), source) == to->end()) to->push_back(source);
  }
}

}  // namespace

LayerTransfers::LayerTransfers(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      seeders_(options_.seeders, parts_.clock) {}

LayerTransfers::~LayerTransfers() = default;

LayerTransfers::WaiterId LayerTransfers::Fetch(WantedLayer layer,
                                               std::shared_ptr<FetchListener> listener) {
  const WaiterId id = next_waiter_++;
  parts_.strand([this, id, layer = std::move(layer), listener = std::move(listener)]() mutable {
    Join(id, std::move(layer), std::move(listener));
  });
  return id;
}

void LayerTransfers::Cancel(WaiterId waiter) {
  parts_.strand([this, waiter] { Leave(waiter); });
}

void LayerTransfers::Prefetch(std::vector<WantedLayer> layers) {
  parts_.strand([this, layers = std::move(layers)] {
    for (const WantedLayer& layer : layers) Enqueue(layer);
    StartQueued();
  });
}

void LayerTransfers::Join(WaiterId id, WantedLayer layer, std::shared_ptr<FetchListener> listener) {
  if (shutting_down_) {
    parts_.metrics.FetchFailed(kShutDown.reason);
    listener->OnFailed(kShutDown);
    return;
  }
  TransferPtr transfer = Find(layer.digest);
  if (transfer != nullptr && transfer->stage == Transfer::kStopping && transfer->waiters.empty()) {
    transfer->layer = layer;  // begins anew, for whoever comes first
  }
  if (transfer != nullptr && transfer->layer.size_bytes != layer.size_bytes) {
    const Failure failure{
        FailureReason::kMismatch,
        fmt::format("asked for {} of {} bytes while one of {} is on its way", layer.digest.str(),
                    layer.size_bytes, transfer->layer.size_bytes)};
    parts_.metrics.FetchFailed(failure.reason);
    listener->OnFailed(failure);
    return;
  }
  if (transfer == nullptr) {
    transfer = transfers_[layer.digest] = std::make_shared<Transfer>();
    transfer->layer = std::move(layer);
  } else {
    AddNew(layer.sources, &transfer->layer.sources);
    if (transfer->finder != nullptr) transfer->finder->AddSources(layer.sources);
  }
  waiting_[id] = transfer->layer.digest;
  transfer->waiters[id] = {std::move(listener), {}};
  transfer->left_at.reset();
  if (transfer->stage == Transfer::kQueued) {
    std::erase(queue_, transfer->layer.digest);
    Look(transfer);
  }
}

void LayerTransfers::Leave(WaiterId id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  const TransferPtr transfer = Find(found->second);
  waiting_.erase(found);
  transfer->waiters.erase(id);
  parts_.metrics.FetchCancelled();
  if (transfer->waiters.empty()) transfer->left_at = parts_.clock.Now();
}

void LayerTransfers::Enqueue(WantedLayer layer) {
  if (shutting_down_) return;
  if (const TransferPtr transfer = Find(layer.digest)) {
    transfer->prefetched = true;
    return;
  }
  if (queue_.size() >= kLongestQueue) {
    observe::Debug("prefetch_ignored", "digest", layer.digest.str(), "queue", queue_.size());
    return;
  }
  auto transfer = std::make_shared<Transfer>();
  transfer->layer = std::move(layer);
  transfer->prefetched = true;
  queue_.push_back(transfer->layer.digest);
  transfers_[transfer->layer.digest] = std::move(transfer);
}

std::size_t LayerTransfers::Active() const {
  return transfers_.size() - queue_.size();
}

void LayerTransfers::StartQueued() {
  while (!shutting_down_ && !queue_.empty() && Active() < options_.max_transfers) {
    const TransferPtr transfer = Find(queue_.front());
    queue_.pop_front();
    Look(transfer);
  }
}

LayerTransfers::TransferPtr LayerTransfers::Find(const base::Digest& digest) const {
  const auto found = transfers_.find(digest);
  return found == transfers_.end() ? nullptr : found->second;
}

void LayerTransfers::Discard(const base::Digest& digest, std::function<void(absl::Status)> done) {
  parts_.strand([this, digest, done = std::move(done)] {
    if (shutting_down_) {
      done(absl::UnavailableError(kShutDown.message));
      return;
    }
    observe::Warn("layer_discarded", "digest", digest.str(), "reason",
                  "the plugin found bad bytes");
    parts_.metrics.Discarded();
    TransferPtr transfer = Find(digest);
    if (transfer == nullptr) {
      // A place in the table, so that whoever asks for the layer now waits until it is gone.
      transfer = transfers_[digest] = std::make_shared<Transfer>();
      transfer->layer.digest = digest;
      transfer->stage = Transfer::kStopping;
    } else {
      std::erase(queue_, digest);
      FailWaiters(transfer, {FailureReason::kInternal, "the layer was discarded"});
      transfer->prefetched = false;
    }
    transfer->known_metainfo.clear();
    Stop(transfer, [this, digest, done] {
      parts_.swarm.Remove(digest);
      const absl::Status status = parts_.cache.Remove(digest);
      parts_.strand([done, status] { done(status); });
    });
  });
}

void LayerTransfers::Deleted(std::function<void(absl::Status)> done) {
  parts_.strand([this, done = std::move(done)] {
    if (shutting_down_) {
      done(absl::UnavailableError(kShutDown.message));
      return;
    }
    Trim(done);
  });
}

void LayerTransfers::Trim(std::function<void(absl::Status)> done) {
  trimmed_at_ = parts_.clock.Now();
  parts_.disk([this, done = std::move(done)] {
    const absl::Status status = parts_.cache.Trim();
    if (!status.ok()) observe::Warn("cache_not_trimmed", "error", base::Message(status));
    parts_.strand([done, status] { done(status); });
  });
}

void LayerTransfers::GetTransfers(std::function<void(std::vector<TransferStatus>)> done) {
  parts_.strand([this, done = std::move(done)] {
    std::vector<TransferStatus> all;
    for (const auto& [digest, transfer] : transfers_) {
      all.push_back({digest, transfer->layer.size_bytes, transfer->progress, transfer->peers});
    }
    done(std::move(all));
  });
}

void LayerTransfers::Tick() {
  parts_.strand([this] {
    std::vector<TransferPtr> all;
    for (const auto& [digest, transfer] : transfers_) all.push_back(transfer);
    for (const TransferPtr& transfer : all) TickTransfer(transfer);
    parts_.metrics.SwarmMoved(parts_.swarm.Totals());
    const auto now = parts_.clock.Now();
    if (now - trimmed_at_ >= kTrimEvery && !shutting_down_) Trim([](const absl::Status&) {});
    if (now - measured_at_ < kMeasureEvery) return;
    measured_at_ = now;
    parts_.metrics.CacheIs(parts_.cache.Usage());
    parts_.metrics.TransfersAre(Active(), queue_.size());
  });
}

void LayerTransfers::TickTransfer(const TransferPtr& transfer) {
  const auto now = parts_.clock.Now();
  if (const auto finder = transfer->finder) {
    finder->Tick();
    if (Find(transfer->layer.digest) != transfer) return;
  }
  const bool moves = transfer->stage == Transfer::kAsking || transfer->stage == Transfer::kSwarm;
  if (moves && now - transfer->moved_at >= options_.stall_timeout) {
    Fail(transfer,
         {FailureReason::kStalled,
          fmt::format("no byte moved for {} ms {}", options_.stall_timeout.count(),
                      transfer->stage == Transfer::kSwarm ? "in the swarm" : "at the origin")});
    return;
  }
  const bool unwanted = transfer->left_at && !transfer->prefetched && transfer->waiters.empty();
  if (unwanted && moves && now - *transfer->left_at >= kGrace) {
    observe::Debug("layer_unwanted", "digest", transfer->layer.digest.str());
    End(transfer);
    return;
  }
  if (transfer->stage == Transfer::kQueued) return;
  for (auto& [id, waiter] : transfer->waiters) {
    if (now - waiter.told_at < kTellEvery) continue;
    waiter.told_at = now;
    waiter.listener->OnProgress(transfer->progress);
  }
}

void LayerTransfers::ShutDown() {
  absl::Notification done;
  parts_.strand([this, &done] {
    shutting_down_ = true;
    for (const auto& [digest, transfer] : transfers_) {
      transfer->finder.reset();
      FailWaiters(transfer, kShutDown);
    }
    queue_.clear();
    final_ = true;
    done.Notify();
  });
  done.WaitForNotification();
}

void LayerTransfers::OnProgress(const base::Digest& digest, const swarm::Progress& progress) {
  parts_.strand([this, digest, progress] {
    const TransferPtr transfer = Find(digest);
    if (transfer != nullptr && transfer->stage == Transfer::kSwarm) Arrived(transfer, progress);
  });
}

void LayerTransfers::OnComplete(const base::Digest& digest, const swarm::Progress& progress) {
  parts_.strand([this, digest, progress] {
    const TransferPtr transfer = Find(digest);
    if (transfer == nullptr || transfer->stage != Transfer::kSwarm) return;
    Arrived(transfer, progress);
    Finish(transfer);
  });
}

void LayerTransfers::OnError(const base::Digest& digest, const absl::Status& status) {
  parts_.strand([this, digest, status] {
    const TransferPtr transfer = Find(digest);
    if (transfer == nullptr) {
      DropBroken(digest);
    } else if (transfer->stage == Transfer::kSwarm) {
      Fail(transfer,
           {absl::IsResourceExhausted(status) ? FailureReason::kNoSpace : FailureReason::kInternal,
            std::string(base::Message(status))});
    }
  });
}

void LayerTransfers::OnResumeData(const base::Digest& digest, const std::string& resume_data) {
  const auto save = [this, digest, resume_data] {
    const absl::Status saved = parts_.cache.SetResumeData(digest, resume_data);
    if (saved.ok() || absl::IsNotFound(saved)) return;
    observe::Warn("resume_data_lost", "digest", digest.str(), "error", base::Message(saved));
  };
  if (final_) {
    save();
    return;
  }
  parts_.disk(save);
}

}  // namespace eagle::sidecar
