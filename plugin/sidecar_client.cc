#include "plugin/sidecar_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "api/node/node.grpc.pb.h"
#include "lib/observe/log.h"
#include "lib/rpc/channel.h"

namespace eagle::plugin {
namespace {

namespace api = eagle::node::v1;

// Of calls that nobody waits for.
constexpr std::chrono::seconds kDeadline{10};
// Of the sidecar's own words in our log.
constexpr std::size_t kMaxMessageBytes = 300;

void Fill(const WantedLayer& layer, api::Layer* out) {
  out->set_digest(layer.digest.str());
  out->set_size(layer.size_bytes);
  for (const LayerSource& source : layer.sources) {
    api::Source* added = out->add_sources();
    added->set_registry(source.registry);
    added->set_repository(source.repository);
  }
}

Fallback ToReason(api::Failed::Reason reason) {
  switch (reason) {
    case api::Failed::NO_SEEDER:
      return Fallback::kNoSeeder;
    case api::Failed::DENIED:
      return Fallback::kDenied;
    case api::Failed::STALLED:
      return Fallback::kStalled;
    case api::Failed::NO_SPACE:
      return Fallback::kNoSpace;
    case api::Failed::MISMATCH:
      return Fallback::kMismatch;
    case api::Failed::SHUTTING_DOWN:
      return Fallback::kShuttingDown;
    default:
      return Fallback::kSidecarError;
  }
}

// Everything that must not outlive the client, so that its destructor can cancel and wait.
class OpenCalls {
 public:
  void Add(grpc::ClientContext* context, std::shared_ptr<void> owner) {
    absl::MutexLock lock(&mutex_);
    calls_.emplace(context, std::move(owner));
  }
  void Remove(grpc::ClientContext* context) {
    absl::MutexLock lock(&mutex_);
    calls_.erase(context);
  }
  void CancelAllAndWait() {
    std::vector<std::pair<grpc::ClientContext*, std::shared_ptr<void>>> calls;
    {
      absl::MutexLock lock(&mutex_);
      calls.assign(calls_.begin(), calls_.end());
    }
    // Without the lock: gRPC may run callbacks inside.
    for (const auto& call : calls) call.first->TryCancel();
    calls.clear();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](OpenCalls* open)
             ABSL_EXCLUSIVE_LOCKS_REQUIRED(open->mutex_) { return open->calls_.empty(); },
        this));
  }

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<grpc::ClientContext*, std::shared_ptr<void>> calls_ ABSL_GUARDED_BY(mutex_);
};

std::int64_t Bounded(std::int64_t value, std::int64_t max) {
  return std::clamp<std::int64_t>(value, 0, max);
}

// One Fetch stream. The list of open calls holds it until OnDone(), the caller as long as it likes.
class FetchCall final : public SidecarClient::Call,
                        public grpc::ClientReadReactor<api::FetchEvent> {
 public:
  FetchCall(OpenCalls& open, const WantedLayer& layer, SidecarClient::Listener listener)
      : open_(open),
        size_bytes_(layer.size_bytes),
        file_name_(layer.digest.hex()),
        listener_(std::move(listener)) {
    Fill(layer, request_.mutable_layer());
  }

  void Start(api::Node::Stub& stub, std::shared_ptr<FetchCall> self) {
    open_.Add(&context_, std::move(self));
    stub.async()->Fetch(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }

  void Cancel() override { context_.TryCancel(); }

  // The sidecar has the call, though it may have nothing to say yet.
  void OnReadInitialMetadataDone(bool ok) override {
    if (ok && !ended_) listener_.progress({});
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (!ended_) Take();
    StartRead(&event_);
  }

  void OnDone(const grpc::Status& status) override {
    if (!ended_) {
      const bool gone = status.error_code() == grpc::StatusCode::UNAVAILABLE;
      End({.reason = gone ? Fallback::kSidecarUnreachable : Fallback::kSidecarError,
           .message = status.ok() ? "the stream ended without a result" : status.error_message()});
    }
    listener_ = {};
    // May end this object's life; nothing of the client may be touched afterwards.
    open_.Remove(&context_);
  }

 private:
  void Take() {
    if (event_.has_done()) {
      TakeDone(event_.done());
    } else if (event_.has_failed()) {
      End({.reason = ToReason(event_.failed().reason()), .message = event_.failed().message()});
    } else {
      const api::Progress& progress = event_.progress();
      listener_.progress({.bytes_done = Bounded(progress.bytes_done(), size_bytes_),
                          .bytes_contiguous = Bounded(progress.bytes_contiguous(), size_bytes_),
                          .bytes_received = Bounded(progress.bytes_from_peers(), size_bytes_) +
                                            Bounded(progress.bytes_from_seeders(), size_bytes_),
                          .bytes_at_origin = Bounded(progress.bytes_at_origin(), size_bytes_)});
    }
  }

  void TakeDone(const api::Done& done) {
    if (done.file_name() != file_name_) {
      End({.reason = Fallback::kSidecarError,
           .message = "it named another file than the digest's"});
      return;
    }
    const std::int64_t peers = Bounded(done.bytes_from_peers(), size_bytes_);
    End({.bytes_from_peers = peers,
         .bytes_from_seeders = Bounded(done.bytes_from_seeders(), size_bytes_ - peers)});
  }

  void End(SidecarClient::End end) {
    ended_ = true;
    end.message.resize(std::min(end.message.size(), kMaxMessageBytes));
    listener_.end(end);
    // Whatever it would still say is of no interest.
    context_.TryCancel();
  }

  OpenCalls& open_;
  const std::int64_t size_bytes_;
  const std::string file_name_;
  SidecarClient::Listener listener_;
  grpc::ClientContext context_;
  api::FetchRequest request_;
  api::FetchEvent event_;
  // The initial metadata may come on another thread.
  std::atomic<bool> ended_ = false;
};

// One unary call whose result is only worth a line in the log.
template <typename Request, typename Reply>
struct ShortCall {
  grpc::ClientContext context;
  Request request;
  Reply reply;

  ShortCall() { context.set_deadline(std::chrono::system_clock::now() + kDeadline); }
};

template <typename Request, typename Reply>
std::function<void(grpc::Status)> LogEnd(OpenCalls& open,
                                         std::shared_ptr<ShortCall<Request, Reply>> call,
                                         std::string_view what) {
  return [&open, call = std::move(call), what](const grpc::Status& status) {
    if (!status.ok()) {
      observe::Debug("sidecar_call_failed", "call", what, "error", status.error_message());
    }
    open.Remove(&call->context);
  };
}

}  // namespace

struct GrpcSidecarClient::Impl {
  std::unique_ptr<api::Node::Stub> stub;
  OpenCalls open;
};

GrpcSidecarClient::GrpcSidecarClient(const std::string& address) : impl_(std::make_unique<Impl>()) {
  impl_->stub = api::Node::NewStub(rpc::MakeChannel(address));
}

GrpcSidecarClient::~GrpcSidecarClient() {
  impl_->open.CancelAllAndWait();
}

std::shared_ptr<SidecarClient::Call> GrpcSidecarClient::Fetch(const WantedLayer& layer,
                                                              Listener listener) {
  auto call = std::make_shared<FetchCall>(impl_->open, layer, std::move(listener));
  call->Start(*impl_->stub, call);
  return call;
}

void GrpcSidecarClient::Prefetch(const std::vector<WantedLayer>& layers) {
  auto call = std::make_shared<ShortCall<api::PrefetchRequest, api::PrefetchReply>>();
  for (const WantedLayer& layer : layers) Fill(layer, call->request.add_layers());
  impl_->open.Add(&call->context, call);
  impl_->stub->async()->Prefetch(&call->context, &call->request, &call->reply,
                                 LogEnd(impl_->open, call, "Prefetch"));
}

void GrpcSidecarClient::Discard(const base::Digest& digest) {
  auto call = std::make_shared<ShortCall<api::DiscardRequest, api::DiscardReply>>();
  call->request.set_digest(digest.str());
  impl_->open.Add(&call->context, call);
  impl_->stub->async()->Discard(&call->context, &call->request, &call->reply,
                                LogEnd(impl_->open, call, "Discard"));
}

void GrpcSidecarClient::Deleted(const std::vector<base::Digest>& digests) {
  auto call = std::make_shared<ShortCall<api::DeletedRequest, api::DeletedReply>>();
  for (const base::Digest& digest : digests) call->request.add_digests(digest.str());
  impl_->open.Add(&call->context, call);
  impl_->stub->async()->Deleted(&call->context, &call->request, &call->reply,
                                LogEnd(impl_->open, call, "Deleted"));
}

void GrpcSidecarClient::Probe(std::chrono::milliseconds patience, std::function<void(bool)> done) {
  auto call = std::make_shared<ShortCall<api::GetStatusRequest, api::GetStatusReply>>();
  call->context.set_deadline(std::chrono::system_clock::now() + patience);
  impl_->open.Add(&call->context, call);
  impl_->stub->async()->GetStatus(
      &call->context, &call->request, &call->reply,
      [&open = impl_->open, call, done = std::move(done)](const grpc::Status& status) {
        done(status.ok());
        open.Remove(&call->context);
      });
}

}  // namespace eagle::plugin
