#include "seeder/grpc_other_seeders.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/metainfo/metainfo.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"

namespace eagle::seeder {
namespace {

constexpr int kMaxPeers = 64;

// One call; lives on the stack of Watch(), which waits for its end.
class WatchCall final : public grpc::ClientReadReactor<metainfo::MetaInfoProgress> {
 public:
  explicit WatchCall(const ProgressCallback& progress) : progress_(progress) {}

  void Start(metainfo::MetaInfo::Stub& stub, grpc::ClientContext& context,
             const metainfo::MetaInfoRequest& request) {
    stub.async()->WatchMetaInfo(&context, &request, this);
    StartRead(&message_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    progress_(message_.bytes_fetched(), message_.bytes_total());
    {
      const absl::MutexLock held(&mutex_);
      last_message_ = absl::Now();
      if (!message_.metainfo().empty()) {
        answer_.metainfo = message_.metainfo();
        const int peers = std::min(message_.peers_size(), kMaxPeers);
        answer_.peers.assign(message_.peers().begin(), message_.peers().begin() + peers);
      }
    }
    StartRead(&message_);
  }

  void OnDone(const grpc::Status& status) override {
    const absl::MutexLock held(&mutex_);
    status_ = status;
    done_ = true;
  }

  // Until the end, or until nothing came for `silence`; true at the end.
  bool Wait(std::chrono::milliseconds silence) {
    const absl::MutexLock held(&mutex_);
    while (!done_) {
      const absl::Time deadline = last_message_ + absl::FromChrono(silence);
      if (absl::Now() >= deadline) return false;
      mutex_.AwaitWithDeadline(absl::Condition(&done_), deadline);
    }
    return true;
  }

  void WaitForEnd() {
    const absl::MutexLock held(&mutex_);
    mutex_.Await(absl::Condition(&done_));
  }

  [[nodiscard]] absl::Status status() {
    const absl::MutexLock held(&mutex_);
    return rpc::FromGrpc(status_);
  }
  [[nodiscard]] LayerAnswer answer() {
    const absl::MutexLock held(&mutex_);
    return answer_;
  }

 private:
  const ProgressCallback& progress_;
  metainfo::MetaInfoProgress message_;
  absl::Mutex mutex_;
  absl::Time last_message_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  LayerAnswer answer_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Whether an error is the answer of a seeder that works.
bool IsAnswer(const absl::Status& status, const grpc::ClientContext& context) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return context.GetServerTrailingMetadata().count(kOriginFailedKey) > 0;
  }
}

}  // namespace

GrpcOtherSeeders::GrpcOtherSeeders(const std::vector<std::string>& seeders,
                                   std::chrono::milliseconds silence)
    : silence_(silence) {
  for (const std::string& seeder : seeders) channels_[seeder] = rpc::MakeChannel(seeder);
}

OtherSeederAnswer GrpcOtherSeeders::Watch(const std::string& seeder, const LayerRequest& request,
                                          const ProgressCallback& progress,
                                          registry::Cancellation& cancellation) {
  const auto channel = channels_.find(seeder);
  if (channel == channels_.end()) {
    return {false, absl::InternalError(fmt::format("{} is no seeder of the list", seeder))};
  }
  const auto stub = metainfo::MetaInfo::NewStub(channel->second);
  grpc::ClientContext context;
  context.AddMetadata(kHopKey, "1");
  const metainfo::MetaInfoRequest message = request.ToProto();
  WatchCall call(progress);
  call.Start(*stub, context, message);
  cancellation.SetWake([&context] { context.TryCancel(); });
  const bool ended = call.Wait(silence_);
  cancellation.SetWake(nullptr);
  if (!ended) {
    context.TryCancel();
    call.WaitForEnd();
    return {false, absl::UnavailableError(
                       fmt::format("seeder {} said nothing for {} ms", seeder, silence_.count()))};
  }
  const absl::Status status = call.status();
  if (!status.ok()) {
    return {IsAnswer(status, context), base::Annotate(status, fmt::format("seeder {}", seeder))};
  }
  LayerAnswer answer = call.answer();
  if (answer.metainfo.empty()) {
    return {false,
            absl::UnavailableError(fmt::format("seeder {} ended without a torrent", seeder))};
  }
  return {true, std::move(answer)};
}

}  // namespace eagle::seeder
