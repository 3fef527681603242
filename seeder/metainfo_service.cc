#include "seeder/metainfo_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "lib/rpc/status.h"
#include "seeder/grpc_other_seeders.h"
#include "seeder/layer_request.h"

namespace eagle::seeder {
namespace {

Hop HopOf(const grpc::CallbackServerContext& context) {
  return context.client_metadata().count(kHopKey) > 0 ? Hop::kFromSeeder : Hop::kFromNode;
}

// What a fetch's end is on the wire. An UNAVAILABLE that is not this seeder's own fault is marked,
// so that a seeder that passed the request on does not repeat the fetch.
grpc::Status WireStatus(const absl::Status& status, grpc::CallbackServerContext& context) {
  if (absl::IsCancelled(status)) {
    return rpc::ToGrpc(absl::UnavailableError(status.message()));
  }
  if (absl::IsUnavailable(status)) context.AddTrailingMetadata(kOriginFailedKey, "1");
  return rpc::ToGrpc(status);
}

void CountEnd(SeederMetrics& metrics, Method method, const grpc::Status& wire,
              const grpc::CallbackServerContext& context) {
  metrics.RequestEnded(
      method, context.IsCancelled() ? absl::StatusCode::kCancelled : rpc::FromGrpc(wire).code());
}

// In both reactors gRPC holds a pointer until OnDone, LayerFetches a share until the end of the
// fetch. gRPC may call back from within StartWrite() and Finish(), so no lock is held there.
class GetReactor final : public grpc::ServerUnaryReactor,
                         public FetchObserver,
                         public std::enable_shared_from_this<GetReactor> {
 public:
  GetReactor(LayerFetches& fetches, SeederMetrics& metrics, grpc::CallbackServerContext* context,
             metainfo::MetaInfoReply* reply)
      : fetches_(fetches), metrics_(metrics), context_(context), reply_(reply) {}

  void Start(const metainfo::MetaInfoRequest& message) {
    self_ = shared_from_this();
    auto request = LayerRequest::Parse(message);
    if (!request.ok()) return End(request.status());
    request_ = *std::move(request);
    fetches_.Watch(request_, HopOf(*context_), shared_from_this());
  }

  void OnProgress(std::int64_t, std::int64_t) override {}

  void OnDone(const absl::StatusOr<LayerAnswer>& answer) override {
    if (!BeginEnd()) return;
    if (answer.ok()) reply_->set_metainfo(answer->metainfo);
    FinishWith(answer.status());
  }

  void OnCancel() override {
    fetches_.Leave(request_.digest, shared_from_this());
    End(absl::CancelledError("cancelled by the client"));
  }

  void OnDone() override { const auto last = std::move(self_); }

 private:
  bool BeginEnd() {
    const absl::MutexLock held(&mutex_);
    return !std::exchange(ended_, true);
  }
  void End(const absl::Status& status) {
    if (BeginEnd()) FinishWith(status);
  }
  void FinishWith(const absl::Status& status) {
    const grpc::Status wire = WireStatus(status, *context_);
    CountEnd(metrics_, Method::kGetMetaInfo, wire, *context_);
    Finish(wire);
  }

  LayerFetches& fetches_;
  SeederMetrics& metrics_;
  grpc::CallbackServerContext* const context_;
  metainfo::MetaInfoReply* const reply_;
  LayerRequest request_;
  std::shared_ptr<GetReactor> self_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class WatchReactor final : public grpc::ServerWriteReactor<metainfo::MetaInfoProgress>,
                           public FetchObserver,
                           public std::enable_shared_from_this<WatchReactor> {
 public:
  WatchReactor(LayerFetches& fetches, SeederMetrics& metrics, grpc::CallbackServerContext* context)
      : fetches_(fetches), metrics_(metrics), context_(context) {}

  void Start(const metainfo::MetaInfoRequest& message) {
    self_ = shared_from_this();
    auto request = LayerRequest::Parse(message);
    if (!request.ok()) return End(request.status());
    request_ = *std::move(request);
    fetches_.Watch(request_, HopOf(*context_), shared_from_this());
  }

  void OnProgress(std::int64_t bytes_fetched, std::int64_t bytes_total) override {
    {
      const absl::MutexLock held(&mutex_);
      // A client that reads slowly misses some progress, and nothing queues up here.
      if (writing_ || end_) return;
      message_.set_bytes_fetched(bytes_fetched);
      message_.set_bytes_total(bytes_total);
      writing_ = true;
    }
    StartWrite(&message_);
  }

  void OnDone(const absl::StatusOr<LayerAnswer>& answer) override {
    {
      const absl::MutexLock held(&mutex_);
      if (end_) return;
      end_ = answer.status();
      if (answer.ok()) answer_ = *answer;
      if (writing_) return;
      writing_ = true;
    }
    WriteEnd();
  }

  void OnWriteDone(bool ok) override {
    {
      const absl::MutexLock held(&mutex_);
      writing_ = false;
      if (!end_) return;
      if (!ok) answer_.reset();
      writing_ = true;
    }
    WriteEnd();
  }

  void OnCancel() override {
    fetches_.Leave(request_.digest, shared_from_this());
    End(absl::CancelledError("cancelled by the client"));
  }

  void OnDone() override { const auto last = std::move(self_); }

 private:
  void End(const absl::Status& status) { OnDone(absl::StatusOr<LayerAnswer>(status)); }

  // The last message if there is one to send, else the end. Called by whoever set `writing_` after
  // `end_` was set, so by one thread at a time.
  void WriteEnd() {
    absl::Status status;
    std::optional<LayerAnswer> answer;
    {
      const absl::MutexLock held(&mutex_);
      status = *end_;
      answer.swap(answer_);
    }
    if (answer) {
      message_.Clear();
      message_.set_bytes_fetched(answer->size_bytes);
      message_.set_bytes_total(answer->size_bytes);
      message_.set_metainfo(answer->metainfo);
      for (const std::string& peer : answer->peers) message_.add_peers(peer);
      return StartWrite(&message_);
    }
    const grpc::Status wire = WireStatus(status, *context_);
    CountEnd(metrics_, Method::kWatchMetaInfo, wire, *context_);
    Finish(wire);
  }

  LayerFetches& fetches_;
  SeederMetrics& metrics_;
  grpc::CallbackServerContext* const context_;
  LayerRequest request_;
  std::shared_ptr<WatchReactor> self_;
  // Belongs to whoever set `writing_`.
  metainfo::MetaInfoProgress message_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::optional<LayerAnswer> answer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::ServerUnaryReactor* MetaInfoService::GetMetaInfo(grpc::CallbackServerContext* context,
                                                       const metainfo::MetaInfoRequest* request,
                                                       metainfo::MetaInfoReply* reply) {
  const auto reactor = std::make_shared<GetReactor>(fetches_, metrics_, context, reply);
  reactor->Start(*request);
  return reactor.get();
}

grpc::ServerWriteReactor<metainfo::MetaInfoProgress>* MetaInfoService::WatchMetaInfo(
    grpc::CallbackServerContext* context, const metainfo::MetaInfoRequest* request) {
  const auto reactor = std::make_shared<WatchReactor>(fetches_, metrics_, context);
  reactor->Start(*request);
  return reactor.get();
}

}  // namespace eagle::seeder
