#include <algorithm>
#include <random>
#include <utility>

#include "lib/observe/log.h"
#include "plugin/layer_fetcher.h"
#include "plugin/layer_fetcher_state.h"

namespace eagle::plugin {
namespace {

constexpr std::chrono::milliseconds kTick{20};
constexpr std::chrono::seconds kIndexPatience{1};

}  // namespace

std::chrono::milliseconds Jittered(std::chrono::milliseconds timeout) {
  std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> percent(80, 120);
  return timeout * percent(random) / 100;
}

void LayerFetcher::StartFetch(const JobPtr& job, const WantedLayer& layer) {
  auto call = parts_.sidecar->Fetch(
      layer, {.progress = [this, job](const auto& progress) { OnProgress(job, progress); },
              .end = [this, job](const auto& end) { OnFetchEnd(job, end); }});
  {
    absl::MutexLock lock(&mutex_);
    if (!job->closed) {
      job->call = std::move(call);
      return;
    }
  }
  call->Cancel();
}

void LayerFetcher::Prefetch(const ManifestIndex::Parent& parent, const base::Digest& first,
                            const std::vector<LayerSource>& sources) {
  const base::ByteSize min_size = rules()->options.min_size;
  std::vector<WantedLayer> wanted;
  bool reached = false;
  for (const ManifestLayer& layer : parent.layers) {
    // containerd asks in this order and has what comes before.
    if (std::exchange(reached, reached || layer.digest == first) && !layer.foreign &&
        layer.digest != first && layer.size_bytes >= min_size.bytes &&
        !parts_.store.Info(BlobName(layer.digest)).ok()) {
      wanted.push_back({layer.digest, layer.size_bytes, sources});
    }
  }
  if (!wanted.empty()) parts_.sidecar->Prefetch(wanted);
}

void LayerFetcher::OnProgress(const JobPtr& job, const SidecarClient::Progress& progress) {
  absl::MutexLock lock(&mutex_);
  if (job->closed) return;
  const TimePoint now = std::chrono::steady_clock::now();
  job->last_event = now;
  SidecarClient::Progress& best = job->best;
  if (progress.bytes_done <= best.bytes_done && progress.bytes_at_origin <= best.bytes_at_origin) {
    return;
  }
  best.bytes_done = std::max(best.bytes_done, progress.bytes_done);
  best.bytes_at_origin = std::max(best.bytes_at_origin, progress.bytes_at_origin);
  job->last_progress = now;
  job->contiguous = std::max(job->contiguous, progress.bytes_contiguous);
  for (const StreamPtr& stream : job->streams) {
    stream->request.live->store(job->contiguous);
    stream->pull->Progress(now);
  }
}

void LayerFetcher::OnFetchEnd(const JobPtr& job, const SidecarClient::End& end) {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    if (job->closed) return;
    job->end = end;
    if (end.reason == Fallback::kNone) {
      job->verifying = true;
      actions.push_back([this, job] { Post(parts_.hash_pool, [this, job] { Verify(job); }); });
    } else {
      observe::Warn("layer_not_from_p2p", "layer", job->digest.str(), "reason",
                    FallbackName(end.reason), "error", end.message);
      if (end.reason == Fallback::kSidecarUnreachable) TripPullsLocked(job, end.reason, &actions);
      EndJobLocked(job, {.reason = end.reason}, &actions);
    }
  }
  Run(std::move(actions));
}

void LayerFetcher::Verify(const JobPtr& job) {
  auto file = parts_.hand_over->Take(job->digest, job->size_bytes, *job->cancelled);
  if (absl::IsDataLoss(file.status()) && !*job->cancelled) {
    parts_.metrics.VerifyFailed();
    parts_.sidecar->Discard(job->digest);
  }
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    if (job->closed) return;
    if (file.ok()) {
      const std::int64_t peers = job->end.bytes_from_peers;
      const std::int64_t seeders = job->end.bytes_from_seeders;
      parts_.metrics.LayerCameFromP2p(peers, seeders, job->size_bytes - peers - seeders);
      EndJobLocked(job, {.file = *std::move(file), .origin = Origin::kP2p}, &actions);
    } else {
      observe::Warn("layer_refused", "layer", job->digest.str(), "error",
                    base::Message(file.status()));
      const Fallback reason =
          absl::IsDataLoss(file.status()) ? Fallback::kCorrupt : Fallback::kHandOver;
      EndJobLocked(job, {.reason = reason}, &actions);
    }
  }
  Run(std::move(actions));
}

void LayerFetcher::EndJobLocked(const JobPtr& job, const Outcome& outcome, Actions* actions) {
  const std::vector<StreamPtr> streams = job->streams;
  for (const StreamPtr& stream : streams) EndLocked(stream, outcome, actions);
}

void LayerFetcher::CloseJobLocked(const JobPtr& job, Actions* actions) {
  job->closed = true;
  *job->cancelled = true;
  const auto found = jobs_.find(job->digest);
  if (found != jobs_.end() && found->second == job) jobs_.erase(found);
  if (auto call = std::exchange(job->call, nullptr)) {
    actions->push_back([call = std::move(call)] { call->Cancel(); });
  }
}

void LayerFetcher::Watch() {
  while (true) {
    Actions actions;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](LayerFetcher* fetcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(fetcher->mutex_) {
            return fetcher->stopping_ || !fetcher->streams_.empty();
          },
          this));
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), absl::FromChrono(kTick));
      if (stopping_) return;
      const TimePoint now = std::chrono::steady_clock::now();
      CheckJobsLocked(now, &actions);
      CheckPullsLocked(now, &actions);
      CheckIndexLocked(now, &actions);
    }
    Run(std::move(actions));
  }
}

void LayerFetcher::CheckJobsLocked(TimePoint now, Actions* actions) {
  const std::chrono::milliseconds silence = rules()->options.sidecar_timeout;
  std::vector<JobPtr> jobs;
  for (const auto& [digest, job] : jobs_) jobs.push_back(job);
  for (const JobPtr& job : jobs) {
    if (job->closed) continue;
    if (job->verifying) {
      // The disk is at work.
      for (const StreamPtr& stream : job->streams) stream->pull->Progress(now);
    } else if (now - job->last_event > silence) {
      observe::Warn("sidecar_hung", "layer", job->digest.str(), "silent_for_ms", silence.count());
      TripPullsLocked(job, Fallback::kSidecarHung, actions);
    } else if (now - job->last_progress > job->stall_timeout) {
      observe::Warn("layer_stalled", "layer", job->digest.str(), "bytes", job->best.bytes_done);
      EndJobLocked(job, {.reason = Fallback::kStalled}, actions);
    }
  }
}

void LayerFetcher::CheckPullsLocked(TimePoint now, Actions* actions) {
  const std::chrono::milliseconds budget = rules()->options.budget;
  std::vector<PullPtr> spent;
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    const PullPtr& pull = it->second;
    if (pull->waiting() && pull->TimeInVain(now) >= budget) spent.push_back(pull);
    // absl's erase() keeps other iterators valid.
    const auto current = it++;
    if (current->second->Over(now, kPullLinger)) pulls_.erase(current);
  }
  for (const PullPtr& pull : spent) {
    observe::Warn("p2p_budget_spent", "budget_ms", budget.count());
    TripLocked(pull, Fallback::kBudget, actions);
  }
}

void LayerFetcher::CheckIndexLocked(TimePoint now, Actions* actions) {
  for (const StreamPtr& stream : streams_) {
    if (!stream->waits_for_index) continue;
    if (!parts_.index.complete() && now - stream->asked < kIndexPatience) continue;
    stream->waits_for_index = false;
    actions->push_back([this, stream] {
      Post(parts_.disk_pool, [this, stream] {
        // A second miss is final.
        parts_.index.complete() ? Look(stream) : End(stream, {.reason = Fallback::kNoManifest});
      });
    });
  }
}

}  // namespace eagle::plugin
