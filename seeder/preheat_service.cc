#include <memory>
#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "lib/rpc/status.h"
#include "seeder/seeder_service.h"

namespace eagle::seeder {
namespace {

bool HasEnded(const PreheatView& view) {
  return view.state == PreheatState::kDone || view.state == PreheatState::kFailed;
}

v1::PreheatProgress ToProto(const PreheatView& view) {
  v1::PreheatProgress out;
  out.set_state(view.state == PreheatState::kDone      ? v1::PreheatProgress::DONE
                : view.state == PreheatState::kRunning ? v1::PreheatProgress::RUNNING
                                                       : v1::PreheatProgress::QUEUED);
  out.set_image(view.image);
  out.set_layers_done(view.progress.layers_done);
  out.set_layers_total(view.progress.layers_total);
  out.set_bytes_done(view.progress.bytes_done);
  out.set_bytes_total(view.progress.bytes_total);
  if (!view.failure.ok()) out.set_last_failure(std::string(base::Message(view.failure)));
  return out;
}

// gRPC holds a pointer until OnDone, the Preheater a share until the image's end. gRPC may call
// back from within StartWrite() and Finish(), so no lock is held there.
class PreheatReactor final : public grpc::ServerWriteReactor<v1::PreheatProgress>,
                             public PreheatObserver,
                             public std::enable_shared_from_this<PreheatReactor> {
 public:
  explicit PreheatReactor(Preheater& preheater) : preheater_(preheater) {}

  void Start(const v1::PreheatRequest& message) {
    self_ = shared_from_this();
    const auto request = Parse(message);
    if (!request.ok()) return End(request.status());
    const auto view = preheater_.Submit(*request, message.wait() ? shared_from_this() : nullptr);
    if (!view.ok()) return End(view.status());
    {
      const absl::MutexLock held(&mutex_);
      id_ = view->id;
      // What the Preheater has told meanwhile is newer.
      if (!next_) next_ = *view;
      if (!message.wait()) end_ = absl::OkStatus();
      if (std::exchange(writing_, true)) return;
    }
    WriteNext();
  }

  void OnPreheat(const PreheatView& view) override {
    {
      const absl::MutexLock held(&mutex_);
      if (end_) return;
      // A client that reads slowly misses some progress, and nothing queues up here.
      next_ = view;
      if (HasEnded(view)) {
        end_ = view.state == PreheatState::kDone ? absl::OkStatus() : view.failure;
      }
      if (std::exchange(writing_, true)) return;
    }
    WriteNext();
  }

  void OnWriteDone(bool ok) override {
    {
      const absl::MutexLock held(&mutex_);
      if (!ok) next_.reset();
      if (!next_ && !end_) {
        writing_ = false;
        return;
      }
    }
    WriteNext();
  }

  void OnCancel() override {
    std::string id;
    {
      const absl::MutexLock held(&mutex_);
      id = id_;
    }
    preheater_.Leave(id, shared_from_this());
    End(absl::CancelledError("cancelled by the client"));
  }

  void OnDone() override { const auto last = std::move(self_); }

 private:
  static absl::StatusOr<PreheatRequest> Parse(const v1::PreheatRequest& message) {
    PreheatRequest request;
    EAGLE_ASSIGN_OR_RETURN(request.image, registry::ImageName::Parse(message.image()));
    for (const std::string& text : message.platforms()) {
      EAGLE_ASSIGN_OR_RETURN(auto platform, registry::Platform::Parse(text));
      request.platforms.push_back(std::move(platform));
    }
    return request;
  }

  void End(const absl::Status& status) {
    {
      const absl::MutexLock held(&mutex_);
      if (end_) return;
      end_ = status;
      next_.reset();
      if (std::exchange(writing_, true)) return;
    }
    WriteNext();
  }

  // Called by whoever set `writing_`, so by one thread at a time.
  void WriteNext() {
    std::optional<PreheatView> view;
    absl::Status status;
    {
      const absl::MutexLock held(&mutex_);
      view.swap(next_);
      if (end_) status = *end_;
      // It is the seeder that ends, not the client.
      if (absl::IsCancelled(status)) status = absl::UnavailableError(status.message());
    }
    if (!view || view->state == PreheatState::kFailed) return Finish(rpc::ToGrpc(status));
    message_ = ToProto(*view);
    StartWrite(&message_);
  }

  Preheater& preheater_;
  std::shared_ptr<PreheatReactor> self_;
  // Belongs to whoever set `writing_`.
  v1::PreheatProgress message_;
  absl::Mutex mutex_;
  std::string id_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<PreheatView> next_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::ServerWriteReactor<v1::PreheatProgress>* SeederService::Preheat(
    grpc::CallbackServerContext*, const v1::PreheatRequest* request) {
  const auto reactor = std::make_shared<PreheatReactor>(preheater_);
  reactor->Start(*request);
  return reactor.get();
}

}  // namespace eagle::seeder
