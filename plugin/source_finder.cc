#include "plugin/source_finder.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "api/content/content.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"
#include "plugin/source_labels.h"

namespace eagle::plugin {
namespace {

namespace api = containerd::services::content::v1;

constexpr std::size_t kMaxSources = 16;

std::vector<LayerSource> SourcesOf(const api::Info& info) {
  std::vector<LayerSource> sources;
  for (const auto& [key, value] : info.labels()) {
    for (LayerSource& source : ParseSourceLabel(key, value)) sources.push_back(std::move(source));
  }
  // A map of protobuf has no order of its own; the same question gets the same answer.
  std::sort(sources.begin(), sources.end(), [](const LayerSource& a, const LayerSource& b) {
    return std::tie(a.registry, a.repository) < std::tie(b.registry, b.repository);
  });
  if (sources.size() > kMaxSources) sources.resize(kMaxSources);
  return sources;
}

// One Find(): a call for each manifest. Owned by the callbacks of its calls.
struct Question {
  struct Call {
    grpc::ClientContext context;
    api::InfoRequest request;
    api::InfoResponse response;
    grpc::Status status;
  };
  std::vector<base::Digest> manifests;
  std::vector<std::unique_ptr<Call>> calls;
  std::atomic<std::size_t> pending = 0;
  SourceFinder::Done done;

  absl::StatusOr<std::vector<SourceFinder::Found>> Answer() const {
    std::vector<SourceFinder::Found> found;
    absl::Status error = absl::OkStatus();
    bool answered = calls.empty();
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const grpc::Status& status = calls[i]->status;
      if (!status.ok() && status.error_code() != grpc::StatusCode::NOT_FOUND) {
        error = base::Annotate(rpc::FromGrpc(status), "ask containerd for the manifest's source");
        continue;
      }
      answered = true;
      std::vector<LayerSource> sources = SourcesOf(calls[i]->response.info());
      if (!sources.empty()) {
        found.push_back({.manifest = manifests[i], .sources = std::move(sources)});
      }
    }
    if (!answered) return error;
    return found;
  }
};

}  // namespace

struct SourceFinder::Impl {
  Options options;
  std::unique_ptr<api::Content::Stub> stub;
  absl::Mutex mutex;
  absl::flat_hash_set<std::shared_ptr<Question>> open ABSL_GUARDED_BY(mutex);

  void CallEnded(const std::shared_ptr<Question>& question) {
    if (--question->pending > 0) return;
    question->done(question->Answer());
    absl::MutexLock lock(&mutex);
    open.erase(question);
  }
};

SourceFinder::SourceFinder(Options options) : impl_(std::make_unique<Impl>()) {
  impl_->stub = api::Content::NewStub(rpc::MakeChannel(options.containerd_address));
  impl_->options = std::move(options);
}

SourceFinder::~SourceFinder() {
  std::vector<std::shared_ptr<Question>> open;
  {
    absl::MutexLock lock(&impl_->mutex);
    open.assign(impl_->open.begin(), impl_->open.end());
  }
  for (const auto& question : open) {
    for (const auto& call : question->calls) call->context.TryCancel();
  }
  open.clear();
  absl::MutexLock lock(&impl_->mutex);
  impl_->mutex.Await(absl::Condition(
      +[](Impl* impl) ABSL_EXCLUSIVE_LOCKS_REQUIRED(impl->mutex) { return impl->open.empty(); },
      impl_.get()));
}

void SourceFinder::Find(const std::string& containerd_namespace,
                        const std::vector<base::Digest>& manifests, Done done) {
  auto question = std::make_shared<Question>();
  question->manifests = manifests;
  question->done = std::move(done);
  // One more than calls, so that the last word is ours even if all of them end at once.
  question->pending = manifests.size() + 1;
  for (const base::Digest& manifest : manifests) {
    auto& call = question->calls.emplace_back(std::make_unique<Question::Call>());
    call->request.set_digest(manifest.str());
    call->context.AddMetadata("containerd-namespace", containerd_namespace);
    call->context.set_deadline(std::chrono::system_clock::now() + impl_->options.timeout);
  }
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->open.insert(question);
  }
  for (const auto& call : question->calls) {
    impl_->stub->async()->Info(&call->context, &call->request, &call->response,
                               [this, question, raw = call.get()](grpc::Status status) {
                                 raw->status = std::move(status);
                                 impl_->CallEnded(question);
                               });
  }
  impl_->CallEnded(question);
}

}  // namespace eagle::plugin
