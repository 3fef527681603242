#include "seeder/preheater.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/digest.h"
#include "lib/observe/log.h"

namespace eagle::seeder {
namespace {

constexpr std::size_t kIdDigits = 16;
constexpr absl::Duration kLongestPause = absl::Minutes(5);

std::string IdOf(const PreheatRequest& request) {
  std::string key = request.image.str();
  for (const registry::Platform& platform : request.platforms) key += " " + platform.str();
  return base::Digest::Of(key).hex().substr(0, kIdDigits);
}

bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

// All but `request` and `cancellation` belongs to the Preheater's mutex.
struct Preheater::Job {
  PreheatRequest request;
  registry::Cancellation cancellation;
  PreheatView view;
  int attempts = 0;
  absl::Time not_before = absl::InfinitePast();
  std::vector<std::shared_ptr<PreheatObserver>> observers;
};

Preheater::Preheater(Options options, Work work, Allowed allowed, SeederMetrics& metrics)
    : options_(std::move(options)),
      work_(std::move(work)),
      allowed_(std::move(allowed)),
      metrics_(metrics) {
  for (std::size_t i = 0; i < options_.images_at_once; ++i) {
    threads_.emplace_back([this] { RunLoop(); });
  }
}

Preheater::~Preheater() {
  Stop();
  for (std::thread& thread : threads_) thread.join();
}

absl::StatusOr<PreheatView> Preheater::Submit(const PreheatRequest& request,
                                              std::shared_ptr<PreheatObserver> observer) {
  EAGLE_RETURN_IF_ERROR(allowed_(request.image.registry));
  auto job = std::make_shared<Job>();
  job->request = request;
  if (job->request.platforms.empty()) job->request.platforms = options_.platforms;
  job->view.id = IdOf(job->request);
  job->view.image = request.image.str();
  const absl::MutexLock held(&mutex_);
  if (stopping_) return absl::CancelledError("the seeder is shutting down");
  std::shared_ptr<Job>& known = jobs_[job->view.id];
  const bool is_new = known == nullptr || known->view.state == PreheatState::kDone ||
                      known->view.state == PreheatState::kFailed;
  if (is_new && unfinished_ >= options_.max_queued) {
    if (known == nullptr) jobs_.erase(job->view.id);
    return absl::ResourceExhaustedError(
        "too many images wait to be preheated; try again later, or raise preheat.queue");
  }
  if (is_new) {
    known = job;
    waiting_.push_back(job);
    ++changes_;
    metrics_.PreheatsWait(static_cast<std::int64_t>(++unfinished_));
  }
  if (observer != nullptr) known->observers.push_back(std::move(observer));
  return known->view;
}

void Preheater::Leave(const std::string& id, const std::shared_ptr<PreheatObserver>& observer) {
  const absl::MutexLock held(&mutex_);
  const auto it = jobs_.find(id);
  if (it != jobs_.end()) std::erase(it->second->observers, observer);
}

std::optional<PreheatView> Preheater::Find(const std::string& id) const {
  const absl::MutexLock held(&mutex_);
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return std::nullopt;
  return it->second->view;
}

std::int64_t Preheater::waiting() const {
  const absl::MutexLock held(&mutex_);
  return static_cast<std::int64_t>(unfinished_);
}

void Preheater::RunLoop() {
  while (const std::shared_ptr<Job> job = TakeNext()) {
    Tell(job);
    Attempt(job);
  }
}

// The next one that is due, waiting for it; nullptr at the end.
std::shared_ptr<Preheater::Job> Preheater::TakeNext() {
  const absl::MutexLock held(&mutex_);
  while (!stopping_) {
    const absl::Time now = absl::Now();
    absl::Time next = absl::InfiniteFuture();
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      next = std::min(next, (*it)->not_before);
      if ((*it)->not_before > now) continue;
      std::shared_ptr<Job> job = *it;
      waiting_.erase(it);
      job->view.state = PreheatState::kRunning;
      ++job->attempts;
      return job;
    }
    const auto news = [this, seen = changes_] { return stopping_ || changes_ != seen; };
    mutex_.AwaitWithDeadline(absl::Condition(&news), next);
  }
  return nullptr;
}

void Preheater::Attempt(const std::shared_ptr<Job>& job) {
  const auto progress = [&](const ImageProgress& now) {
    {
      const absl::MutexLock held(&mutex_);
      job->view.progress = now;
    }
    Tell(job);
  };
  Settle(job, work_(job->request.image, job->request.platforms, progress, job->cancellation));
}

void Preheater::Settle(const std::shared_ptr<Job>& job, const absl::Status& status) {
  {
    const absl::MutexLock held(&mutex_);
    if (job->view.state != PreheatState::kRunning) return;
    job->view.failure = status;
    if (!status.ok() && MayPass(status) && job->attempts < options_.attempts && !stopping_) {
      const absl::Duration pause =
          absl::FromChrono(options_.retry_delay) * (std::int64_t{1} << (job->attempts - 1));
      job->not_before = absl::Now() + std::min(pause, kLongestPause);
      job->view.state = PreheatState::kQueued;
      waiting_.push_back(job);
      ++changes_;
    } else {
      End(*job, status.ok() ? PreheatState::kDone : PreheatState::kFailed);
      ended_.push_back(job);
    }
    while (ended_.size() > options_.remembered) {
      // Unless the image has been submitted again.
      const auto it = jobs_.find(ended_.front()->view.id);
      if (it != jobs_.end() && it->second == ended_.front()) jobs_.erase(it);
      ended_.pop_front();
    }
  }
  if (status.ok()) {
    observe::Info("preheated", "image", job->view.image, "layers", job->view.progress.layers_total);
  } else {
    observe::Warn("preheat_failed", "image", job->view.image, "error", base::Message(status));
  }
  Tell(job);
}

void Preheater::End(Job& job, PreheatState state) {
  job.view.state = state;
  metrics_.PreheatsWait(static_cast<std::int64_t>(--unfinished_));
  metrics_.PreheatEnded(state == PreheatState::kDone);
}

void Preheater::Tell(const std::shared_ptr<Job>& job) {
  PreheatView view;
  std::vector<std::shared_ptr<PreheatObserver>> observers;
  {
    const absl::MutexLock held(&mutex_);
    view = job->view;
    observers = job->observers;
    const bool ended = view.state == PreheatState::kDone || view.state == PreheatState::kFailed;
    if (ended) job->observers.clear();
  }
  for (const auto& observer : observers) observer->OnPreheat(view);
}

void Preheater::Stop() {
  std::vector<std::shared_ptr<Job>> unfinished;
  {
    const absl::MutexLock held(&mutex_);
    if (std::exchange(stopping_, true)) return;
    waiting_.clear();
    for (const auto& [id, job] : jobs_) {
      const PreheatState state = job->view.state;
      if (state != PreheatState::kQueued && state != PreheatState::kRunning) continue;
      job->view.failure = absl::CancelledError("the seeder is shutting down");
      End(*job, PreheatState::kFailed);
      unfinished.push_back(job);
    }
  }
  for (const auto& job : unfinished) {
    job->cancellation.Cancel();
    Tell(job);
  }
}

}  // namespace eagle::seeder
