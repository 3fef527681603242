#include "sidecar/grpc_metainfo_client.h"

#include <grpcpp/grpcpp.h>

#include <set>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "api/metainfo/metainfo.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"

namespace eagle::sidecar {
namespace {

class WatchCall;

/// The calls under way. They keep themselves alive here until gRPC has done with them.
class OpenCalls {
 public:
  void Add(std::shared_ptr<WatchCall> call) {
    absl::MutexLock lock(&mutex_);
    calls_.insert(std::move(call));
  }
  void Remove(const std::shared_ptr<WatchCall>& call) {
    absl::MutexLock lock(&mutex_);
    calls_.erase(call);
  }
  void CancelAllAndWait();

 private:
  absl::Mutex mutex_;
  std::set<std::shared_ptr<WatchCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

class WatchCall final : public MetainfoClient::Call,
                        public grpc::ClientReadReactor<metainfo::MetaInfoProgress>,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  WatchCall(OpenCalls& open, std::shared_ptr<grpc::Channel> channel, const std::string& url,
            MetainfoClient::Listener listener)
      : open_(open), channel_(std::move(channel)), listener_(std::move(listener)) {
    request_.set_url(url);
  }

  void Start(metainfo::MetaInfo::Stub& stub) {
    open_.Add(shared_from_this());
    stub.async()->WatchMetaInfo(&context_, &request_, this);
    StartRead(&progress_);
    StartCall();
  }

  void Cancel() override { context_.TryCancel(); }

  [[nodiscard]] bool Connected() const override {
    return channel_->GetState(false) == GRPC_CHANNEL_READY;
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    listener_.message({.bytes_fetched = progress_.bytes_fetched(),
                       .metainfo = progress_.metainfo(),
                       .peers = {progress_.peers().begin(), progress_.peers().end()}});
    StartRead(&progress_);
  }

  void OnDone(const grpc::Status& status) override {
    listener_.end(rpc::FromGrpc(status));
    // May end this object's life.
    open_.Remove(shared_from_this());
  }

 private:
  OpenCalls& open_;
  const std::shared_ptr<grpc::Channel> channel_;
  const MetainfoClient::Listener listener_;
  grpc::ClientContext context_;
  metainfo::MetaInfoRequest request_;
  metainfo::MetaInfoProgress progress_;
};

void OpenCalls::CancelAllAndWait() {
  absl::MutexLock lock(&mutex_);
  for (const auto& call : calls_) call->Cancel();
  mutex_.Await(absl::Condition(
      +[](OpenCalls* open)
           ABSL_EXCLUSIVE_LOCKS_REQUIRED(open->mutex_) { return open->calls_.empty(); },
      this));
}

}  // namespace

struct GrpcMetainfoClient::Impl {
  struct Seeder {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<metainfo::MetaInfo::Stub> stub;
  };
  std::vector<Seeder> seeders;
  OpenCalls open;
};

GrpcMetainfoClient::GrpcMetainfoClient(const std::vector<std::string>& addresses)
    : impl_(std::make_unique<Impl>()) {
  for (const std::string& address : addresses) {
    auto channel = rpc::MakeChannel(address);
    auto stub = metainfo::MetaInfo::NewStub(channel);
    impl_->seeders.push_back({std::move(channel), std::move(stub)});
  }
}

GrpcMetainfoClient::~GrpcMetainfoClient() {
  impl_->open.CancelAllAndWait();
}

bool GrpcMetainfoClient::Reachable(std::size_t seeder) {
  return impl_->seeders.at(seeder).channel->GetState(true) == GRPC_CHANNEL_READY;
}

std::shared_ptr<MetainfoClient::Call> GrpcMetainfoClient::Watch(std::size_t seeder,
                                                                const std::string& url,
                                                                Listener listener) {
  Impl::Seeder& to = impl_->seeders.at(seeder);
  auto call = std::make_shared<WatchCall>(impl_->open, to.channel, url, std::move(listener));
  call->Start(*to.stub);
  return call;
}

}  // namespace eagle::sidecar
