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
constexpr std::size_t kMostDigestsPerCall = 1024;

}  // namespace

std::chrono::milliseconds Jittered(std::chrono::milliseconds timeout) {
  std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> percent(80, 120);
  return timeout * percent(random) / 100;
}

void LayerFetcher::StartFetch(const JobPtr& job, int attempt) {
  auto call = parts_.sidecar->Fetch(
      job->layer, {.progress = [this, job](const auto& progress) { OnProgress(job, progress); },
                   .end = [this, job](const auto& end) { OnFetchEnd(job, end); }});
  {
    absl::MutexLock lock(&mutex_);
    // It may have ended, and another one begun, before we heard of it.
    if (job->attempt != attempt) return;
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
  const TimePoint now = parts_.clock.Now();
  breaker_.Heard(now);
  job->heard = true;
  job->last_event = now;
  SidecarClient::Progress& best = job->best;
  if (progress.bytes_done <= best.bytes_done && progress.bytes_at_origin <= best.bytes_at_origin &&
      progress.bytes_received <= best.bytes_received) {
    return;
  }
  best.bytes_done = std::max(best.bytes_done, progress.bytes_done);
  best.bytes_at_origin = std::max(best.bytes_at_origin, progress.bytes_at_origin);
  best.bytes_received = std::max(best.bytes_received, progress.bytes_received);
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
    if (job->closed || AskAgainLocked(job, end)) return;
    job->end = end;
    const TimePoint now = parts_.clock.Now();
    if (end.reason != Fallback::kSidecarUnreachable) breaker_.Heard(now);
    if (end.reason == Fallback::kNone) {
      job->verifying = true;
      actions.push_back([this, job] { Post(parts_.hash_pool, [this, job] { Verify(job); }); });
    } else {
      observe::Warn("layer_not_from_p2p", "layer", job->layer.digest.str(), "reason",
                    FallbackName(end.reason), "error", end.message);
      const bool slow_to_refuse = now - job->asked_at > rules()->options.sidecar_timeout / 2;
      if (end.reason == Fallback::kSidecarUnreachable && slow_to_refuse) {
        breaker_.Open(end.reason, now);
        BreakLocked(end.reason, &actions);
      }
      EndJobLocked(job, {.reason = end.reason}, &actions);
    }
  }
  Run(std::move(actions));
}

// A sidecar that went in the middle of a transfer is perhaps being restarted, and goes on from
// where it was.
bool LayerFetcher::AskAgainLocked(const JobPtr& job, const SidecarClient::End& end) {
  const TimePoint now = parts_.clock.Now();
  const bool leaving = end.reason == Fallback::kShuttingDown;
  if (!leaving && end.reason != Fallback::kSidecarUnreachable) return false;
  if (job->heard || leaving) {
    breaker_.BrokeOff(now);
    ++job->break_offs;
  }
  if (stopping_ || !breaker_.Restarting(now) || job->break_offs > kMostBreakOffs) return false;
  if (job->heard || leaving) {
    observe::Info("sidecar_broke_off", "layer", job->layer.digest.str(), "bytes",
                  job->best.bytes_done);
  }
  job->heard = false;
  job->call = nullptr;
  job->best.bytes_received = 0;
  job->ask_again_at = now + kAskAgainEvery;
  ++job->attempt;
  // What it was to prefetch it has forgotten.
  for (const StreamPtr& stream : job->streams) stream->pull->PrefetchAgain();
  return true;
}

void LayerFetcher::Verify(const JobPtr& job) {
  auto file = parts_.hand_over->Take(job->layer.digest, job->layer.size_bytes, *job->cancelled);
  if (absl::IsDataLoss(file.status()) && !*job->cancelled) {
    parts_.metrics.VerifyFailed();
    parts_.sidecar->Discard(job->layer.digest);
  }
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    if (job->closed) return;
    if (file.ok()) {
      const std::int64_t peers = job->end.bytes_from_peers;
      const std::int64_t seeders = job->end.bytes_from_seeders;
      parts_.metrics.LayerCameFromP2p(peers, seeders, job->layer.size_bytes - peers - seeders);
      EndJobLocked(job, {.file = *std::move(file), .origin = Origin::kP2p}, &actions);
    } else {
      observe::Warn("layer_refused", "layer", job->layer.digest.str(), "error",
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
  const auto found = jobs_.find(job->layer.digest);
  if (found != jobs_.end() && found->second == job) jobs_.erase(found);
  if (auto call = std::exchange(job->call, nullptr)) {
    actions->push_back([call = std::move(call)] { call->Cancel(); });
  }
}

void LayerFetcher::Watch() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](LayerFetcher* fetcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(fetcher->mutex_) {
            return fetcher->stopping_ || !fetcher->streams_.empty() || !fetcher->deleted_.empty() ||
                   fetcher->breaker_.open();
          },
          this));
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), absl::FromChrono(kTick));
      if (stopping_) return;
    }
    Tick();
  }
}

void LayerFetcher::Tick() {
  Actions actions;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    const TimePoint now = parts_.clock.Now();
    CheckSidecarLocked(now, &actions);
    std::vector<JobPtr> jobs;
    for (const auto& [digest, job] : jobs_) jobs.push_back(job);
    for (const JobPtr& job : jobs) {
      if (!job->closed) CheckJobLocked(job, now, &actions);
    }
    CheckPullsLocked(now, &actions);
    CheckIndexLocked(now, &actions);
  }
  Run(std::move(actions));
}

void LayerFetcher::CheckSidecarLocked(TimePoint now, Actions* actions) {
  if (breaker_.TakeProbe(now)) {
    actions->push_back([this] {
      parts_.sidecar->Probe(rules()->options.sidecar_timeout, [this](bool alive) {
        absl::MutexLock lock(&mutex_);
        breaker_.ProbeEnded(alive, parts_.clock.Now());
        if (alive) observe::Info("sidecar_is_back");
      });
    });
  }
  if (deleted_.empty()) return;
  const std::size_t some = std::min(deleted_.size(), kMostDigestsPerCall);
  const auto rest = deleted_.end() - static_cast<std::ptrdiff_t>(some);
  actions->push_back([this, digests = std::vector<base::Digest>(rest, deleted_.end())] {
    parts_.sidecar->Deleted(digests);
  });
  deleted_.erase(rest, deleted_.end());
}

void LayerFetcher::CheckJobLocked(const JobPtr& job, TimePoint now, Actions* actions) {
  const auto now_rules = rules();
  const std::chrono::milliseconds silence = now_rules->options.sidecar_timeout;
  if (job->verifying) {
    // The disk is at work.
    for (const StreamPtr& stream : job->streams) stream->pull->Progress(now);
  } else if (job->ask_again_at) {
    if (now < *job->ask_again_at) return;
    job->ask_again_at.reset();
    job->asked_at = job->last_event = job->last_progress = now;
    actions->push_back([this, job, attempt = job->attempt] { StartFetch(job, attempt); });
  } else if (now - job->last_event > silence) {
    observe::Warn("sidecar_hung", "layer", job->layer.digest.str(), "silent_for_ms",
                  silence.count());
    if (breaker_.SilentFor(silence, now)) {
      breaker_.Open(Fallback::kSidecarHung, now);
      BreakLocked(Fallback::kSidecarHung, actions);
    } else {
      TripPullsLocked(job, Fallback::kSidecarHung, actions);
    }
  } else if (now - job->last_progress > job->stall_timeout) {
    observe::Warn("layer_stalled", "layer", job->layer.digest.str(), "bytes", job->best.bytes_done);
    EndJobLocked(job, {.reason = Fallback::kStalled}, actions);
  } else if (CrawlsLocked(job, now)) {
    observe::Warn("layer_crawls", "layer", job->layer.digest.str(), "bytes", job->best.bytes_done,
                  "slower_than", now_rules->options.min_rate.str());
    EndJobLocked(job, {.reason = Fallback::kSlow}, actions);
  }
}

// Whether what moved in the last window is less than it should be; that window was lost then.
bool LayerFetcher::CrawlsLocked(const JobPtr& job, TimePoint now) {
  const base::ByteRate min_rate = rules()->options.min_rate;
  if (min_rate.unlimited() || now - job->window_start < kRateWindow) return false;
  const std::int64_t moved = job->score() - job->window_score;
  job->window_start = now;
  job->window_score = job->score();
  if (moved >= min_rate.bytes_per_second * kRateWindow.count()) return false;
  for (const StreamPtr& stream : job->streams) stream->pull->Waste(kRateWindow);
  return true;
}

void LayerFetcher::CheckPullsLocked(TimePoint now, Actions* actions) {
  const std::chrono::milliseconds budget = rules()->options.budget;
  std::vector<PullPtr> spent;
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    const PullPtr& pull = it->second;
    // What would be spent before the next look is spent now: the budget is a bound.
    if (pull->waiting() && pull->TimeInVain(now + kTick) >= budget) spent.push_back(pull);
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
