#include "seeder/layer_fetches.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/rendezvous.h"
#include "lib/observe/log.h"

namespace eagle::seeder {
namespace {

constexpr std::size_t kFetchThreads = 16;
constexpr std::size_t kPassOnThreads = 32;
constexpr std::size_t kLookUpThreads = 2;
constexpr std::size_t kMaxFailures = 1000;

struct Waiter {
  std::shared_ptr<FetchObserver> observer;
  LayerRequest request;
  Hop hop = Hop::kFromNode;
};

absl::Status Stopping() {
  return absl::CancelledError("the seeder is shutting down");
}

}  // namespace

// One layer on its way here. `waiters` and `here` belong to the mutex of LayerFetches.
struct LayerFetches::Fetch {
  LayerRequest request;
  std::vector<Waiter> waiters;
  // Not to be passed on (any more): a seeder asked for it, or nobody else is left.
  bool here = false;
  std::atomic<std::int64_t> bytes_fetched = 0;
  std::atomic<std::int64_t> bytes_total = 0;
  registry::Cancellation passing_on;
  registry::Cancellation fetching;

  ProgressCallback Progress() {
    return [this](std::int64_t fetched, std::int64_t total) {
      bytes_total = total;
      bytes_fetched = fetched;
    };
  }
};

LayerFetches::LayerFetches(LayerFetchesOptions options, Storage& storage, OriginFetch& origin,
                           OtherSeeders& others, SecondUploads& uploads, SeederMetrics& metrics,
                           const base::Clock& clock)
    : options_(std::move(options)),
      storage_(storage),
      origin_(origin),
      others_(others),
      uploads_(uploads),
      metrics_(metrics),
      clock_(clock),
      fetching_(kFetchThreads),
      passing_on_(kPassOnThreads),
      lookups_(kLookUpThreads),
      teller_([this] { TellProgress(); }) {}

LayerFetches::~LayerFetches() {
  Stop();
  teller_.join();
}

void LayerFetches::Watch(const LayerRequest& request, Hop hop,
                         std::shared_ptr<FetchObserver> observer) {
  std::shared_ptr<Fetch> fetch;
  {
    const absl::MutexLock held(&mutex_);
    if (!stopping_) {
      std::shared_ptr<Fetch>& known = fetches_[request.digest];
      const bool is_new = known == nullptr;
      if (is_new) {
        known = std::make_shared<Fetch>();
        known->request = request;
      }
      fetch = known;
      fetch->waiters.push_back({observer, request, hop});
      metrics_.CallersWait(++waiting_);
      if (hop == Hop::kFromSeeder && !fetch->here) {
        fetch->here = true;
        fetch->passing_on.Cancel();
      }
      if (is_new) Start(fetch);
    }
  }
  if (fetch == nullptr) return observer->OnDone(Stopping());
  observer->OnProgress(fetch->bytes_fetched, fetch->bytes_total);
}

void LayerFetches::Leave(const base::Digest& digest,
                         const std::shared_ptr<FetchObserver>& observer) {
  const absl::MutexLock held(&mutex_);
  const auto it = fetches_.find(digest);
  if (it == fetches_.end()) return;
  const auto left = std::erase_if(
      it->second->waiters, [&](const Waiter& waiter) { return waiter.observer == observer; });
  waiting_ -= static_cast<std::int64_t>(left);
  metrics_.CallersWait(waiting_);
}

void LayerFetches::Start(const std::shared_ptr<Fetch>& fetch) {
  lookups_.Post([this, fetch] { LookUp(fetch); });
}

void LayerFetches::LookUp(const std::shared_ptr<Fetch>& fetch) {
  const base::Digest& digest = fetch->request.digest;
  if (auto layer = storage_.Find(digest); layer && layer->complete && !layer->metainfo.empty()) {
    storage_.Touch(digest);
    return End(fetch,
               LayerAnswer{std::move(layer->metainfo), layer->size_bytes, options_.own_peers});
  }
  if (absl::Status failure = RecentFailure(fetch->request); !failure.ok())
    return End(fetch, failure);
  bool here = false;
  {
    const absl::MutexLock held(&mutex_);
    fetch->here = fetch->here || SeedersToAsk(digest).empty();
    here = fetch->here;
  }
  if (here) {
    fetching_.Post([this, fetch] { FetchHere(fetch); });
  } else {
    passing_on_.Post([this, fetch] { PassOn(fetch); });
  }
}

// Those that own the layer before this one does, best first.
std::vector<std::string> LayerFetches::SeedersToAsk(const base::Digest& digest) const {
  std::vector<std::string> before;
  for (const std::size_t i : base::RendezvousOrder(digest.str(), options_.seeders)) {
    if (options_.seeders[i] == options_.self) break;
    before.push_back(options_.seeders[i]);
  }
  return before;
}

void LayerFetches::PassOn(const std::shared_ptr<Fetch>& fetch) {
  for (const std::string& seeder : SeedersToAsk(fetch->request.digest)) {
    if (fetch->passing_on.cancelled()) break;
    {
      const absl::MutexLock held(&mutex_);
      const auto it = unhealthy_until_.find(seeder);
      if (it != unhealthy_until_.end() && clock_.Now() < it->second) continue;
    }
    if (AskSeeder(fetch, seeder)) return;
  }
  {
    const absl::MutexLock held(&mutex_);
    fetch->here = true;
  }
  fetching_.Post([this, fetch] { FetchHere(fetch); });
}

bool LayerFetches::AskSeeder(const std::shared_ptr<Fetch>& fetch, const std::string& seeder) {
  const base::Digest& digest = fetch->request.digest;
  OtherSeederAnswer result =
      others_.Watch(seeder, fetch->request, fetch->Progress(), fetch->passing_on);
  if (fetch->passing_on.cancelled()) return false;
  if (!result.healthy) {
    metrics_.PassedOn(PassedOnResult::kUnhealthy);
    observe::Warn("seeder_unhealthy", "seeder", seeder, "error",
                  base::Message(result.answer.status()));
    const absl::MutexLock held(&mutex_);
    unhealthy_until_[seeder] = clock_.Now() + options_.unhealthy_memory;
    return false;
  }
  if (result.answer.ok()) {
    const auto size_bytes = uploads_.Check(digest, result.answer->metainfo);
    if (size_bytes.ok()) {
      result.answer->size_bytes = *size_bytes;
    } else {
      result.answer = size_bytes.status();
    }
  }
  metrics_.PassedOn(result.answer.ok() ? PassedOnResult::kOk : PassedOnResult::kFailed);
  if (result.answer.ok()) uploads_.Join(digest, *result.answer, fetch->request.source());
  End(fetch, result.answer);
  return true;
}

void LayerFetches::FetchHere(const std::shared_ptr<Fetch>& fetch) {
  auto metainfo = origin_.Run(fetch->request, fetch->Progress(), fetch->fetching);
  if (metainfo.ok()) {
    return End(fetch, LayerAnswer{*std::move(metainfo), fetch->bytes_total, options_.own_peers});
  }
  if (!fetch->fetching.cancelled()) {
    observe::Warn("fetch_failed", "url", fetch->request.url(), "error",
                  base::Message(metainfo.status()));
    const absl::MutexLock held(&mutex_);
    RememberFailure(fetch->request, metainfo.status());
  }
  End(fetch, metainfo.status());
}

void LayerFetches::End(const std::shared_ptr<Fetch>& fetch,
                       const absl::StatusOr<LayerAnswer>& answer) {
  std::vector<Waiter> told;
  {
    const absl::MutexLock held(&mutex_);
    const auto it = fetches_.find(fetch->request.digest);
    if (it == fetches_.end() || it->second != fetch) return;
    fetches_.erase(it);
    told.swap(fetch->waiters);
    if (!answer.ok() && !stopping_) {
      // What one registry refuses, those who named another one may still get there.
      const auto others = std::stable_partition(
          told.begin(), told.end(), [&](const Waiter& w) { return w.request == fetch->request; });
      if (others != told.end()) {
        auto next = std::make_shared<Fetch>();
        next->request = others->request;
        next->waiters.assign(others, told.end());
        next->here = std::any_of(others, told.end(),
                                 [](const Waiter& w) { return w.hop == Hop::kFromSeeder; });
        told.erase(others, told.end());
        fetches_[next->request.digest] = next;
        Start(next);
      }
    }
    waiting_ -= static_cast<std::int64_t>(told.size());
    metrics_.CallersWait(waiting_);
  }
  for (const Waiter& waiter : told) waiter.observer->OnDone(answer);
}

void LayerFetches::Stop() {
  std::vector<std::shared_ptr<Fetch>> running;
  {
    const absl::MutexLock held(&mutex_);
    stopping_ = true;
    for (const auto& [digest, fetch] : fetches_) {
      fetch->passing_on.Cancel();
      fetch->fetching.Cancel();
      running.push_back(fetch);
    }
  }
  for (const std::shared_ptr<Fetch>& fetch : running) End(fetch, Stopping());
}

void LayerFetches::TellProgress() {
  struct News {
    std::shared_ptr<FetchObserver> observer;
    std::int64_t bytes_fetched;
    std::int64_t bytes_total;
  };
  while (true) {
    std::vector<News> news;
    {
      const absl::MutexLock held(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_),
                              absl::FromChrono(options_.progress_interval));
      if (stopping_) return;
      for (const auto& [digest, fetch] : fetches_) {
        for (const Waiter& waiter : fetch->waiters) {
          news.push_back({waiter.observer, fetch->bytes_fetched, fetch->bytes_total});
        }
      }
    }
    for (const News& item : news) item.observer->OnProgress(item.bytes_fetched, item.bytes_total);
  }
}

void LayerFetches::RememberFailure(const LayerRequest& request, const absl::Status& status) {
  const auto now = clock_.Now();
  std::erase_if(failures_, [&](const auto& entry) { return entry.second.until <= now; });
  if (failures_.size() < kMaxFailures) {
    failures_[request] = {status, now + options_.failure_memory};
  }
}

absl::Status LayerFetches::RecentFailure(const LayerRequest& request) {
  const absl::MutexLock held(&mutex_);
  const auto it = failures_.find(request);
  if (it == failures_.end() || it->second.until <= clock_.Now()) return absl::OkStatus();
  return it->second.status;
}

}  // namespace eagle::seeder
