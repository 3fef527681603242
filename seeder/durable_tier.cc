#include "seeder/durable_tier.h"

#include <fmt/format.h>

#include <utility>

#include "absl/time/time.h"
#include "lib/observe/log.h"

namespace eagle::seeder {
namespace {

constexpr std::size_t kStep = 1 << 20;

}  // namespace

DurableTier::DurableTier(std::unique_ptr<ssi::Backend> backend, Storage& storage,
                         SeederMetrics& metrics, const Options& options)
    : backend_(std::move(backend)),
      storage_(storage),
      metrics_(metrics),
      options_(options),
      copier_([this] { Run(); }) {}

DurableTier::~DurableTier() {
  Stop();
  copier_.join();
}

void DurableTier::Stop() {
  {
    const absl::MutexLock held(&mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  backend_->Stop();
}

void DurableTier::KeepAll(const std::vector<base::Digest>& digests) {
  const absl::MutexLock held(&mutex_);
  backlog_.insert(backlog_.end(), digests.begin(), digests.end());
}

void DurableTier::Keep(const base::Digest& digest) {
  auto pin = storage_.Pin(digest);
  // It has gone already.
  if (!pin.ok()) return;
  Waiting dropped{digest, nullptr};
  const absl::MutexLock held(&mutex_);
  if (stopping_ || !known_.insert(digest).second) return;
  if (waiting_.size() >= options_.max_waiting) {
    dropped = std::move(waiting_.front());
    waiting_.pop_front();
    known_.erase(dropped.digest);
    observe::Warn("layer_not_kept", "digest", dropped.digest.str(), "error",
                  "too many layers wait for the storage back end");
  }
  waiting_.push_back({digest, *std::move(pin)});
}

absl::StatusOr<bool> DurableTier::Forget(const base::Digest& digest) {
  const auto there = backend_->Stat(digest.hex());
  if (absl::IsNotFound(there.status())) return false;
  EAGLE_RETURN_IF_ERROR(there.status());
  EAGLE_RETURN_IF_ERROR(backend_->Delete(digest.hex()));
  return true;
}

std::int64_t DurableTier::waiting() const {
  const absl::MutexLock held(&mutex_);
  return static_cast<std::int64_t>(waiting_.size() + backlog_.size()) + (busy_ ? 1 : 0);
}

void DurableTier::WaitUntilIdle() {
  const absl::MutexLock held(&mutex_);
  const auto idle = [this] { return waiting_.empty() && backlog_.empty() && !busy_; };
  mutex_.Await(absl::Condition(&idle));
}

bool DurableTier::Pause() {
  const absl::MutexLock held(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), absl::FromChrono(options_.retry_delay));
  return !stopping_;
}

DurableTier::Waiting DurableTier::TakeNext() {
  Waiting next;
  if (!waiting_.empty()) {
    next = std::move(waiting_.front());
    waiting_.pop_front();
  } else {
    next.digest = backlog_.front();
    backlog_.pop_front();
  }
  return next;
}

void DurableTier::Run() {
  while (true) {
    Waiting next;
    {
      const absl::MutexLock held(&mutex_);
      busy_ = false;
      const auto some = [this] { return stopping_ || !waiting_.empty() || !backlog_.empty(); };
      mutex_.Await(absl::Condition(&some));
      if (stopping_) return;
      busy_ = true;
      next = TakeNext();
    }
    CopyWithRetries(next.digest);
    const absl::MutexLock held(&mutex_);
    known_.erase(next.digest);
  }
}

void DurableTier::CopyWithRetries(const base::Digest& digest) {
  absl::Status status;
  for (int attempt = 1; attempt <= options_.attempts; ++attempt) {
    if (attempt > 1 && !Pause()) return;
    status = Copy(digest);
    if (status.ok() || absl::IsCancelled(status)) break;
  }
  if (absl::IsCancelled(status)) return;
  metrics_.LayerKept(status.ok());
  if (!status.ok()) {
    observe::Error("layer_not_kept", "digest", digest.str(), "error", base::Message(status));
  }
}

absl::Status DurableTier::Copy(const base::Digest& digest) {
  const auto pin = storage_.Pin(digest);
  const auto layer = storage_.Find(digest);
  // Evicted while it waited, or not whole.
  if (!pin.ok() || !layer || !layer->complete) return absl::OkStatus();
  const auto there = backend_->Stat(digest.hex());
  if (there.ok() && there->size_bytes == layer->size_bytes) return absl::OkStatus();
  if (!there.ok() && !absl::IsNotFound(there.status())) return there.status();
  EAGLE_ASSIGN_OR_RETURN(const auto upload,
                         backend_->Create(digest.hex(), layer->size_bytes, layer->metainfo));
  // Whatever the disk gives is checked, so that a damaged layer is never made to last.
  base::Sha256 hasher;
  for (std::int64_t offset = 0; offset < layer->size_bytes;) {
    EAGLE_ASSIGN_OR_RETURN(const std::string data, storage_.Read(digest, offset, kStep));
    if (data.empty()) return absl::DataLossError("the layer on the seeder's disk is too short");
    EAGLE_RETURN_IF_ERROR(upload->Write(data));
    hasher.Update(data);
    offset += static_cast<std::int64_t>(data.size());
  }
  if (hasher.Current() != digest) {
    return absl::DataLossError("the layer on the seeder's disk is damaged");
  }
  return upload->Commit();
}

DurableTier::RestoreResult DurableTier::Restore(const base::Digest& digest,
                                                registry::BlobSink& sink,
                                                const registry::Cancellation& cancellation) {
  RestoreResult result;
  const auto info = backend_->Stat(digest.hex());
  if (!info.ok() || info->size_bytes == 0) {
    if (!info.ok() && !absl::IsNotFound(info.status())) {
      observe::Warn("storage_backend_failed", "error", base::Message(info.status()));
    }
    return result;
  }
  result.size_bytes = info->size_bytes;
  result.status = sink.Begin(info->size_bytes);
  if (!result.status.ok()) return result;
  base::Sha256 hasher;
  absl::Status sink_status;
  const auto take = [&](std::string_view data) {
    if (cancellation.cancelled()) {
      sink_status = absl::CancelledError("the fetch was cancelled");
    } else {
      sink_status = sink.Write(data);
    }
    if (!sink_status.ok()) return sink_status;
    hasher.Update(data);
    result.received += static_cast<std::int64_t>(data.size());
    metrics_.Restored(static_cast<std::int64_t>(data.size()));
    return absl::OkStatus();
  };
  const absl::Status status = backend_->Download(digest.hex(), 0, info->size_bytes, take);
  result.status = sink_status;
  if (!sink_status.ok()) return result;
  if (!status.ok() || result.received != info->size_bytes) {
    result.restored = Restored::kPartly;
    observe::Warn("storage_backend_failed", "digest", digest.str(), "error", base::Message(status));
  } else if (hasher.Current() == digest) {
    result.restored = Restored::kYes;
  } else {
    observe::Error("storage_backend_has_wrong_bytes", "digest", digest.str());
    (void)backend_->Delete(digest.hex());
    result.status =
        absl::UnavailableError(fmt::format("the storage had other bytes for {}", digest.str()));
  }
  return result;
}

}  // namespace eagle::seeder
