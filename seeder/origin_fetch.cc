#include "seeder/origin_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "lib/base/digest.h"
#include "lib/observe/log.h"
#include "lib/swarm/torrent.h"

namespace eagle::seeder {
namespace {

// The session promises to say "announced" after half a second at the latest.
constexpr std::chrono::seconds kAnnounceTimeout{2};

// Disk, piece hashes and SHA-256 in one pass.
class LayerSink final : public registry::BlobSink {
 public:
  LayerSink(const LayerRequest& request, Storage& storage, const ProgressCallback& progress)
      : request_(request), storage_(storage), progress_(progress) {}

  absl::Status Begin(std::int64_t size_bytes) override {
    EAGLE_ASSIGN_OR_RETURN(writer_,
                           storage_.Create(request_.digest, size_bytes, request_.source()));
    torrent_.emplace(size_bytes);
    size_bytes_ = size_bytes;
    progress_(0, size_bytes_);
    return absl::OkStatus();
  }

  absl::Status Write(std::string_view data) override {
    EAGLE_RETURN_IF_ERROR(writer_->Write(data));
    torrent_->Update(data);
    hasher_.Update(data);
    written_ += static_cast<std::int64_t>(data.size());
    progress_(written_, size_bytes_);
    return absl::OkStatus();
  }

  [[nodiscard]] bool IsTheLayer() const {
    return written_ == size_bytes_ && hasher_.Current() == request_.digest;
  }

  absl::StatusOr<std::string> Commit() {
    EAGLE_ASSIGN_OR_RETURN(std::string metainfo, torrent_->Finish(request_.digest));
    EAGLE_RETURN_IF_ERROR(writer_->Commit(metainfo));
    return metainfo;
  }

 private:
  const LayerRequest& request_;
  Storage& storage_;
  const ProgressCallback& progress_;
  std::unique_ptr<LayerWriter> writer_;
  std::optional<swarm::TorrentBuilder> torrent_;
  base::Sha256 hasher_;
  std::int64_t size_bytes_ = 0;
  std::int64_t written_ = 0;
};

// What a registry sends, counted; without what the sink has had from the storage back end.
class RegistrySink final : public registry::BlobSink {
 public:
  RegistrySink(registry::BlobSink& sink, const DurableTier::RestoreResult& tier,
               SeederMetrics& metrics)
      : sink_(sink), tier_(tier), skip_(tier.received), metrics_(metrics) {}

  absl::Status Begin(std::int64_t size_bytes) override {
    if (tier_.restored == DurableTier::Restored::kNo) return sink_.Begin(size_bytes);
    if (size_bytes == tier_.size_bytes) return absl::OkStatus();
    return absl::UnavailableError("registry and storage back end differ in the layer's length");
  }
  absl::Status Write(std::string_view data) override {
    metrics_.OriginSent(static_cast<std::int64_t>(data.size()));
    const auto known = std::min<std::int64_t>(skip_, static_cast<std::int64_t>(data.size()));
    skip_ -= known;
    data.remove_prefix(static_cast<std::size_t>(known));
    return data.empty() ? absl::OkStatus() : sink_.Write(data);
  }

 private:
  registry::BlobSink& sink_;
  const DurableTier::RestoreResult& tier_;
  std::int64_t skip_;
  SeederMetrics& metrics_;
};

OriginResult ResultOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return OriginResult::kNotFound;
    case absl::StatusCode::kPermissionDenied:
      return OriginResult::kDenied;
    case absl::StatusCode::kResourceExhausted:
      return OriginResult::kNoSpace;
    case absl::StatusCode::kCancelled:
      return OriginResult::kCancelled;
    default:
      return OriginResult::kUnavailable;
  }
}

}  // namespace

absl::Status OriginFetch::SeedAndWait(const std::string& metainfo) {
  // Shared, because the session may call after the wait has ended.
  auto announced = std::make_shared<absl::Notification>();
  EAGLE_RETURN_IF_ERROR(swarm_.Seed(metainfo, [announced] { announced->Notify(); }));
  announced->WaitForNotificationWithTimeout(absl::FromChrono(kAnnounceTimeout));
  return absl::OkStatus();
}

absl::StatusOr<std::string> OriginFetch::MakeTorrentAgain(const StoredLayer& layer) {
  constexpr std::size_t kStep = 1 << 20;
  swarm::TorrentBuilder torrent(layer.size_bytes);
  for (std::int64_t offset = 0; offset < layer.size_bytes;) {
    EAGLE_ASSIGN_OR_RETURN(const std::string data, storage_.Read(layer.digest, offset, kStep));
    if (data.empty()) return absl::DataLossError("the stored layer is too short");
    torrent.Update(data);
    offset += static_cast<std::int64_t>(data.size());
  }
  EAGLE_ASSIGN_OR_RETURN(std::string metainfo, torrent.Finish(layer.digest));
  EAGLE_RETURN_IF_ERROR(storage_.SetMetainfo(layer.digest, metainfo));
  return metainfo;
}

absl::Status OriginFetch::Bring(const LayerRequest& request, registry::BlobSink& sink,
                                registry::Cancellation& cancellation, bool* from_registry) {
  DurableTier::RestoreResult tier;
  if (tier_ != nullptr) tier = tier_->Restore(request.digest, sink, cancellation);
  if (!tier.status.ok()) return tier.status;
  if (tier.restored == DurableTier::Restored::kYes) return absl::OkStatus();
  *from_registry = true;
  RegistrySink rest(sink, tier, metrics_);
  return origins_.Fetch(request, rest, cancellation);
}

absl::StatusOr<std::string> OriginFetch::Fetch(const LayerRequest& request,
                                               const ProgressCallback& progress,
                                               registry::Cancellation& cancellation) {
  const auto start = std::chrono::steady_clock::now();
  LayerSink sink(request, storage_, progress);
  bool from_registry = false;
  if (absl::Status status = Bring(request, sink, cancellation, &from_registry); !status.ok()) {
    if (from_registry) metrics_.OriginFetchEnded(ResultOf(status));
    return status;
  }
  if (!sink.IsTheLayer()) {
    metrics_.OriginFetchEnded(OriginResult::kWrongBytes);
    observe::Error("origin_sent_wrong_bytes", "url", request.url());
    return absl::UnavailableError(fmt::format("registry {} sent bytes that are not {}",
                                              request.registry, request.digest.str()));
  }
  EAGLE_ASSIGN_OR_RETURN(std::string metainfo, sink.Commit());
  if (from_registry) metrics_.OriginFetchEnded(OriginResult::kOk);
  if (tier_ != nullptr && from_registry) tier_->Keep(request.digest);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  observe::Info(from_registry ? "layer_fetched" : "layer_restored", "url", request.url(), "ms",
                took.count());
  // While the sink's writer lives, the layer can not be evicted before it is seeded.
  EAGLE_RETURN_IF_ERROR(SeedAndWait(metainfo));
  return metainfo;
}

absl::StatusOr<std::string> OriginFetch::Run(const LayerRequest& request,
                                             const ProgressCallback& progress,
                                             registry::Cancellation& cancellation) {
  const auto stored = storage_.Find(request.digest);
  if (stored && stored->complete) {
    progress(stored->size_bytes, stored->size_bytes);
    std::string metainfo = stored->metainfo;
    if (metainfo.empty()) {
      EAGLE_ASSIGN_OR_RETURN(metainfo, MakeTorrentAgain(*stored));
      EAGLE_RETURN_IF_ERROR(SeedAndWait(metainfo));
    }
    return metainfo;
  }
  if (stored) {
    swarm_.Remove(request.digest);
    EAGLE_RETURN_IF_ERROR(storage_.Remove(request.digest));
  }
  return Fetch(request, progress, cancellation);
}

}  // namespace eagle::seeder
