#include "plugin/layer_fetcher.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/observe/log.h"
#include "plugin/layer_fetcher_state.h"

namespace eagle::plugin {
namespace {

// A layer with more parents than this has its source from one of the latest.
constexpr std::size_t kMaxParents = 8;
constexpr std::size_t kMaxSources = 16;

ImagePull::Result ResultOf(const LayerSupply::Outcome& outcome) {
  if (outcome.file != nullptr) return ImagePull::Result::kServed;
  return outcome.reason == Fallback::kCancelled ? ImagePull::Result::kCancelled
                                                : ImagePull::Result::kInVain;
}

}  // namespace

class LayerFetcher::StreamTicket final : public Ticket {
 public:
  StreamTicket(LayerFetcher& fetcher, StreamPtr stream)
      : fetcher_(fetcher), stream_(std::move(stream)) {}
  ~StreamTicket() override { fetcher_.ForgetStream(stream_); }
  void Cancel() override { fetcher_.End(stream_, {.reason = Fallback::kCancelled}); }

 private:
  LayerFetcher& fetcher_;
  const StreamPtr stream_;
};

LayerFetcher::LayerFetcher(const Options& options, Parts parts)
    : parts_(std::move(parts)),
      rules_(std::make_shared<Rules>(Rules{options, std::move(parts_.policy)})),
      breaker_(2 * options.sidecar_timeout),
      watcher_([this] { Watch(); }) {
  parts_.metrics.P2pIsOn(options.enabled);
}

LayerFetcher::~LayerFetcher() {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    const auto waiting = streams_;
    for (const StreamPtr& stream : waiting) {
      EndLocked(stream, {.reason = Fallback::kShuttingDown}, &actions);
    }
  }
  Run(std::move(actions));
  watcher_.join();
  // Tasks may still ask, and answers may still post tasks; none of them starts anything new.
  AwaitTasks();
  parts_.sources.reset();
  parts_.sidecar.reset();
  AwaitTasks();
}

std::shared_ptr<const LayerFetcher::Rules> LayerFetcher::rules() const {
  base::MutexLock lock(&rules_mutex_);
  return rules_;
}

std::int64_t LayerFetcher::SetRules(const Options& options, Policy policy) {
  auto fresh = std::make_shared<Rules>(Rules{options, std::move(policy)});
  {
    base::MutexLock lock(&rules_mutex_);
    rules_ = std::move(fresh);
  }
  parts_.metrics.P2pIsOn(options.enabled);
  if (options.enabled) return 0;
  // Who joins a job from here on has seen the new rules.
  Actions actions;
  std::int64_t released = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto jobs = jobs_;
    for (const auto& [digest, job] : jobs) {
      if (job->verifying) continue;
      released += static_cast<std::int64_t>(job->streams.size());
      EndJobLocked(job, {.reason = Fallback::kDisabled}, &actions);
    }
  }
  Run(std::move(actions));
  return released;
}

std::int64_t LayerFetcher::waiting() {
  absl::MutexLock lock(&mutex_);
  return static_cast<std::int64_t>(streams_.size());
}

void LayerFetcher::AwaitTasks() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int* tasks) { return *tasks == 0; }, &tasks_));
}

void LayerFetcher::Run(Actions actions) {
  for (const auto& action : actions) action();
}

void LayerFetcher::Post(base::ThreadPool& pool, std::function<void()> task) {
  {
    absl::MutexLock lock(&mutex_);
    ++tasks_;
  }
  pool.Post([this, task = std::move(task)] {
    task();
    absl::MutexLock lock(&mutex_);
    --tasks_;
  });
}

std::unique_ptr<LayerSupply::Ticket> LayerFetcher::Get(Request request, Done done) {
  auto stream = std::make_shared<Stream>();
  stream->request = std::move(request);
  stream->done = std::move(done);
  stream->asked = parts_.clock.Now();
  {
    absl::MutexLock lock(&mutex_);
    streams_.insert(stream);
  }
  Post(parts_.disk_pool, [this, stream] { Look(stream); });
  return std::make_unique<StreamTicket>(*this, std::move(stream));
}

void LayerFetcher::Deleted(const base::Digest& digest) {
  // With P2P off, too: what the cache holds is in the way of the disk all the same.
  absl::MutexLock lock(&mutex_);
  deleted_.push_back(digest);
}

void LayerFetcher::Look(const StreamPtr& stream) {
  const Request& request = stream->request;
  if (auto file = FindLocal(request)) {
    End(stream, {.file = std::move(file), .origin = Origin::kLocal});
    return;
  }
  if (const Fallback reason = CheckRules(request); reason != Fallback::kNone) {
    End(stream, {.reason = reason});
    return;
  }
  auto parents =
      parts_.index.ParentsOf(request.ref.digest, request.ref.containerd_namespace, kMaxParents);
  if (!parents.empty()) {
    AskForSources(stream, std::move(parents));
  } else if (parts_.index.complete()) {
    End(stream, {.reason = Fallback::kNoManifest});
  } else {
    absl::MutexLock lock(&mutex_);
    stream->waits_for_index = true;
  }
}

std::shared_ptr<const VerifiedFile> LayerFetcher::FindLocal(const Request& request) {
  const auto blob = parts_.store.OpenForRead(BlobName(request.ref.digest));
  if (!blob.ok() || (*blob)->size_bytes != request.size_bytes) return nullptr;
  auto file = std::make_shared<VerifiedFile>();
  file->fd.Reset(::fcntl((*blob)->fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!file->fd.valid()) return nullptr;
  file->digest = request.ref.digest;
  file->size_bytes = request.size_bytes;
  parts_.metrics.LayerWasLocal(request.size_bytes);
  return file;
}

Fallback LayerFetcher::CheckRules(const Request& request) const {
  const auto now = rules();
  if (!now->options.enabled) return Fallback::kDisabled;
  return request.size_bytes < now->options.min_size.bytes ? Fallback::kSmall : Fallback::kNone;
}

void LayerFetcher::AskForSources(const StreamPtr& stream,
                                 std::vector<ManifestIndex::Parent> parents) {
  std::vector<base::Digest> manifests;
  for (const auto& parent : parents) manifests.push_back(parent.manifest);
  parts_.sources->Find(stream->request.ref.containerd_namespace, manifests,
                       [this, stream, parents = std::move(parents)](const auto& found) {
                         OnSources(stream, parents, found);
                       });
}

void LayerFetcher::OnSources(const StreamPtr& stream,
                             const std::vector<ManifestIndex::Parent>& parents,
                             const absl::StatusOr<std::vector<SourceFinder::Found>>& found) {
  if (!found.ok()) {
    observe::Warn("source_unknown", "layer", stream->request.ref.digest.str(), "error",
                  base::Message(found.status()));
    return End(stream, {.reason = Fallback::kContainerd});
  }
  if (found->empty()) return End(stream, {.reason = Fallback::kNoSource});
  const auto asked_rules = rules();
  std::vector<LayerSource> sources;
  for (const auto& one : *found) {
    for (const LayerSource& source : one.sources) {
      if (sources.size() < kMaxSources && asked_rules->policy.Allows(source) &&
          std::find(sources.begin(), sources.end(), source) == sources.end()) {
        sources.push_back(source);
      }
    }
  }
  if (sources.empty()) return End(stream, {.reason = Fallback::kPolicy});
  const auto parent = std::find_if(parents.begin(), parents.end(), [&](const auto& candidate) {
    return candidate.manifest == found->front().manifest;
  });
  const base::Digest digest = stream->request.ref.digest;
  const auto layer = std::find_if(parent->layers.begin(), parent->layers.end(),
                                  [&](const ManifestLayer& l) { return l.digest == digest; });
  if (layer->foreign) return End(stream, {.reason = Fallback::kNoSource});

  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    if (!stream->done) return;
    const TimePoint now = parts_.clock.Now();
    stream->pull = PullLocked(
        fmt::format("{}/{}", stream->request.ref.containerd_namespace, parent->manifest.hex()),
        now);
    stream->pull->AddStream();
    stream->pull->Ask(digest);
    breaker_.Want(now);
    const auto now_rules = rules();
    if (stream->pull->TimeInVain(now) >= now_rules->options.budget) {
      stream->pull->Trip(Fallback::kBudget);
    }
    Fallback refused = now_rules->options.enabled ? breaker_.verdict() : Fallback::kDisabled;
    if (refused == Fallback::kNone) refused = stream->pull->Admit();
    if (refused != Fallback::kNone) {
      EndLocked(stream, {.reason = refused}, &actions);
    } else {
      const bool prefetch = stream->pull->TakePrefetch();
      JoinLocked(stream, sources, &actions);
      if (prefetch) {
        actions.push_back([this, rest = *parent, digest, sources] {
          Post(parts_.disk_pool, [=, this] { Prefetch(rest, digest, sources); });
        });
      }
    }
  }
  Run(std::move(actions));
}

LayerFetcher::PullPtr LayerFetcher::PullLocked(const std::string& key, TimePoint now) {
  PullPtr& pull = pulls_[key];
  if (pull == nullptr || pull->Over(now, kPullLinger)) pull = std::make_shared<ImagePull>();
  return pull;
}

void LayerFetcher::JoinLocked(const StreamPtr& stream, std::vector<LayerSource> sources,
                              Actions* actions) {
  const TimePoint now = parts_.clock.Now();
  const Request& request = stream->request;
  stream->pull->StartWaiting(now);
  stream->in_pull = true;
  JobPtr& job = jobs_[request.ref.digest];
  if (job == nullptr) {
    job = std::make_shared<Job>(
        WantedLayer{request.ref.digest, request.size_bytes, std::move(sources)},
        Jittered(rules()->options.stall_timeout), now);
    actions->push_back([this, job = job] { StartFetch(job, 0); });
  }
  if (job->layer.size_bytes != request.size_bytes) {
    EndLocked(stream, {.reason = Fallback::kMismatch}, actions);
    return;
  }
  stream->job = job;
  job->streams.push_back(stream);
  request.live->store(job->contiguous);
}

void LayerFetcher::End(const StreamPtr& stream, Outcome outcome) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    EndLocked(stream, std::move(outcome), &actions);
  }
  Run(std::move(actions));
}

void LayerFetcher::EndLocked(const StreamPtr& stream, Outcome outcome, Actions* actions) {
  if (!stream->done) return;
  streams_.erase(stream);
  if (stream->in_pull) {
    stream->pull->StopWaiting(parts_.clock.Now(), ResultOf(outcome));
    stream->in_pull = false;
  }
  if (const JobPtr job = std::exchange(stream->job, nullptr)) {
    std::erase(job->streams, stream);
    if (job->streams.empty()) CloseJobLocked(job, actions);
  }
  actions->push_back([done = std::exchange(stream->done, nullptr), outcome = std::move(outcome)] {
    done(outcome);
  });
}

void LayerFetcher::ForgetStream(const StreamPtr& stream) {
  End(stream, {.reason = Fallback::kCancelled});
  absl::MutexLock lock(&mutex_);
  if (stream->pull != nullptr) stream->pull->RemoveStream(parts_.clock.Now());
  stream->pull = nullptr;
}

void LayerFetcher::TripLocked(const PullPtr& pull, Fallback reason, Actions* actions) {
  pull->Trip(reason);
  const auto waiting = streams_;
  for (const StreamPtr& stream : waiting) {
    if (stream->pull == pull) EndLocked(stream, {.reason = reason}, actions);
  }
}

void LayerFetcher::TripPullsLocked(const JobPtr& job, Fallback reason, Actions* actions) {
  const std::vector<StreamPtr> streams = job->streams;
  for (const StreamPtr& stream : streams) {
    if (stream->pull != nullptr) TripLocked(stream->pull, reason, actions);
  }
}

void LayerFetcher::BreakLocked(Fallback reason, Actions* actions) {
  std::vector<JobPtr> jobs;
  for (const auto& [digest, job] : jobs_) jobs.push_back(job);
  for (const JobPtr& job : jobs) {
    if (!job->closed && !job->verifying) EndJobLocked(job, {.reason = reason}, actions);
  }
}

}  // namespace eagle::plugin
