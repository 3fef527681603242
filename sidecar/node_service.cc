#include "sidecar/node_service.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/observe/build_info.h"
#include "lib/rpc/status.h"

namespace eagle::sidecar {
namespace {

namespace api = node::v1;

// Far more than an image has, or a manifest's label names.
constexpr int kMaxLayersPerRequest = 1024;
constexpr int kMaxSources = 32;
constexpr std::size_t kMaxNameBytes = 512;

absl::StatusOr<WantedLayer> FromWire(const api::Layer& layer) {
  WantedLayer wanted;
  EAGLE_ASSIGN_OR_RETURN(wanted.digest, base::Digest::Parse(layer.digest()));
  if (layer.size() <= 0) return absl::InvalidArgumentError("the layer's size must be above 0");
  wanted.size_bytes = layer.size();
  if (layer.sources_size() > kMaxSources) {
    return absl::InvalidArgumentError(fmt::format("more than {} sources", kMaxSources));
  }
  for (const api::Source& source : layer.sources()) {
    if (source.registry().empty() || source.registry().size() > kMaxNameBytes ||
        source.repository().empty() || source.repository().size() > kMaxNameBytes) {
      return absl::InvalidArgumentError("a source needs a registry and a repository");
    }
    wanted.sources.push_back({source.registry(), source.repository()});
  }
  return wanted;
}

void ToWire(const TransferProgress& progress, api::Progress* wire) {
  wire->set_stage(progress.stage == TransferProgress::Stage::kSwarm ? api::Progress::SWARM
                                                                    : api::Progress::ORIGIN);
  wire->set_bytes_done(progress.bytes_done);
  wire->set_bytes_contiguous(progress.bytes_contiguous);
  wire->set_bytes_from_peers(progress.bytes_from_peers);
  wire->set_bytes_from_seeders(progress.bytes_from_seeders);
  wire->set_bytes_at_origin(progress.bytes_at_origin);
}

api::Failed::Reason ToWire(FailureReason reason) {
  switch (reason) {
    case FailureReason::kNoSeeder:
      return api::Failed::NO_SEEDER;
    case FailureReason::kDenied:
      return api::Failed::DENIED;
    case FailureReason::kStalled:
      return api::Failed::STALLED;
    case FailureReason::kNoSpace:
      return api::Failed::NO_SPACE;
    case FailureReason::kMismatch:
      return api::Failed::MISMATCH;
    case FailureReason::kShuttingDown:
      return api::Failed::SHUTTING_DOWN;
    case FailureReason::kInternal:
      break;
  }
  return api::Failed::INTERNAL;
}

/// One Fetch stream. Lives until both gRPC and the transfers have let go of it. A slow reader gets
/// the latest progress, not all of it.
class FetchStream final : public grpc::ServerWriteReactor<api::FetchEvent>,
                          public FetchListener,
                          public std::enable_shared_from_this<FetchStream> {
 public:
  FetchStream(LayerTransfers& transfers, const base::Digest& digest)
      : transfers_(transfers), digest_(digest) {}

  void Begin(WantedLayer layer) {
    absl::MutexLock lock(&mutex_);
    self_ = shared_from_this();
    // Before there is anything to tell: the caller knows a sidecar that dies from one that is not
    // there.
    StartSendInitialMetadata();
    waiter_ = transfers_.Fetch(std::move(layer), self_);
  }

  void OnProgress(const TransferProgress& progress) override {
    api::FetchEvent event;
    ToWire(progress, event.mutable_progress());
    absl::MutexLock lock(&mutex_);
    if (last_) return;
    next_ = std::move(event);
    WriteNext();
  }

  void OnDone(std::int64_t bytes_from_peers, std::int64_t bytes_from_seeders) override {
    api::FetchEvent event;
    event.mutable_done()->set_file_name(digest_.hex());
    event.mutable_done()->set_bytes_from_peers(bytes_from_peers);
    event.mutable_done()->set_bytes_from_seeders(bytes_from_seeders);
    WriteLast(std::move(event));
  }

  void OnFailed(const Failure& failure) override {
    api::FetchEvent event;
    event.mutable_failed()->set_reason(ToWire(failure.reason));
    event.mutable_failed()->set_message(failure.message);
    WriteLast(std::move(event));
  }

  // gRPC's side.
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) {
      FinishOnce(grpc::Status(grpc::StatusCode::CANCELLED, "the caller is gone"));
    } else {
      WriteNext();
    }
  }

  void OnCancel() override {
    WaiterId waiter = 0;
    {
      absl::MutexLock lock(&mutex_);
      waiter = waiter_;
      if (!writing_) FinishOnce(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled"));
      last_ = true;
    }
    transfers_.Cancel(waiter);
  }

  void OnDone() override {
    std::shared_ptr<FetchStream> self;
    WaiterId waiter = 0;
    {
      absl::MutexLock lock(&mutex_);
      self = std::move(self_);
      waiter = waiter_;
    }
    // No harm when the transfer has ended; releases the interest when the stream broke.
    transfers_.Cancel(waiter);
  }

 private:
  using WaiterId = LayerTransfers::WaiterId;

  void WriteLast(api::FetchEvent event) {
    absl::MutexLock lock(&mutex_);
    if (last_) return;
    last_ = true;
    next_ = std::move(event);
    WriteNext();
  }

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (next_) {
      written_ = std::move(*next_);
      next_.reset();
      writing_ = true;
      StartWrite(&written_);
    } else if (last_) {
      FinishOnce(grpc::Status::OK);
    }
  }

  void FinishOnce(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  LayerTransfers& transfers_;
  const base::Digest digest_;

  absl::Mutex mutex_;
  std::shared_ptr<FetchStream> self_ ABSL_GUARDED_BY(mutex_);
  WaiterId waiter_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<api::FetchEvent> next_ ABSL_GUARDED_BY(mutex_);
  api::FetchEvent written_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool last_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

/// A stream that ends at once.
class RefusedFetch final : public grpc::ServerWriteReactor<api::FetchEvent> {
 public:
  explicit RefusedFetch(const absl::Status& status) { Finish(rpc::ToGrpc(status)); }
  void OnDone() override { delete this; }
};

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  auto* reactor = context->DefaultReactor();
  reactor->Finish(rpc::ToGrpc(status));
  return reactor;
}

}  // namespace

grpc::ServerWriteReactor<api::FetchEvent>* NodeService::Fetch(grpc::CallbackServerContext*,
                                                              const api::FetchRequest* request) {
  auto layer = FromWire(request->layer());
  if (!layer.ok()) return new RefusedFetch(layer.status());
  auto stream = std::make_shared<FetchStream>(transfers_, layer->digest);
  stream->Begin(std::move(*layer));
  return stream.get();
}

grpc::ServerUnaryReactor* NodeService::Prefetch(grpc::CallbackServerContext* context,
                                                const api::PrefetchRequest* request,
                                                api::PrefetchReply*) {
  if (request->layers_size() > kMaxLayersPerRequest) {
    return Answer(context, absl::InvalidArgumentError(fmt::format("more than {} layers in one call",
                                                                  kMaxLayersPerRequest)));
  }
  std::vector<WantedLayer> layers;
  for (const api::Layer& layer : request->layers()) {
    auto wanted = FromWire(layer);
    if (!wanted.ok()) return Answer(context, wanted.status());
    layers.push_back(std::move(*wanted));
  }
  transfers_.Prefetch(std::move(layers));
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* NodeService::Discard(grpc::CallbackServerContext* context,
                                               const api::DiscardRequest* request,
                                               api::DiscardReply*) {
  const auto digest = base::Digest::Parse(request->digest());
  if (!digest.ok()) return Answer(context, digest.status());
  auto* reactor = context->DefaultReactor();
  transfers_.Discard(
      *digest, [reactor](const absl::Status& status) { reactor->Finish(rpc::ToGrpc(status)); });
  return reactor;
}

grpc::ServerUnaryReactor* NodeService::Deleted(grpc::CallbackServerContext* context,
                                               const api::DeletedRequest*, api::DeletedReply*) {
  auto* reactor = context->DefaultReactor();
  transfers_.Deleted(
      [reactor](const absl::Status& status) { reactor->Finish(rpc::ToGrpc(status)); });
  return reactor;
}

grpc::ServerUnaryReactor* NodeService::GetStatus(grpc::CallbackServerContext* context,
                                                 const api::GetStatusRequest*,
                                                 api::GetStatusReply* reply) {
  const blob::BlobCacheUsage usage = cache_.Usage();
  reply->set_version(std::string(observe::Version()));
  reply->set_cache_bytes(usage.bytes);
  reply->set_cache_limit_bytes(cache_.limit().bytes);
  reply->set_cached_layers(usage.blobs);
  auto* reactor = context->DefaultReactor();
  transfers_.GetTransfers([reactor, reply](const std::vector<TransferStatus>& transfers) {
    for (const TransferStatus& transfer : transfers) {
      api::Transfer* wire = reply->add_transfers();
      wire->set_digest(transfer.digest.str());
      wire->set_size(transfer.size_bytes);
      ToWire(transfer.progress, wire->mutable_progress());
      wire->set_peers(transfer.peers);
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace eagle::sidecar
