#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/swarm/torrent.h"
#include "seeder/layer_fetches.h"
#include "seeder/layer_request.h"
#include "seeder/origins.h"
#include "seeder/other_seeders.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// How long a test waits for what must happen.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

inline LayerRequest UrlOf(const std::string& content,
                          const std::string& repository = "library/app") {
  return {"registry.lab", {repository}, base::Digest::Of(content), std::nullopt};
}

inline std::string TorrentOf(const std::string& content) {
  swarm::TorrentBuilder builder(static_cast<std::int64_t>(content.size()));
  builder.Update(content);
  return *builder.Finish(base::Digest::Of(content));
}

/// Remembers what was asked of it; every torrent is announced at once.
class FakeSwarm final : public Swarm {
 public:
  struct DownloadCall {
    std::string metainfo;
    std::string resume_data;
    std::vector<std::string> peers;
    swarm::DownloadObserver* observer;
  };

  absl::Status Seed(const std::string& metainfo, std::function<void()> announced) override {
    {
      const absl::MutexLock held(&mutex_);
      if (!seed_status_.ok()) return seed_status_;
      seeds_.push_back(metainfo);
    }
    if (announced) announced();
    return absl::OkStatus();
  }
  absl::Status Download(const std::string& metainfo, const std::string& resume_data,
                        const std::vector<std::string>& peers,
                        swarm::DownloadObserver* observer) override {
    const absl::MutexLock held(&mutex_);
    downloads_.push_back({metainfo, resume_data, peers, observer});
    return absl::OkStatus();
  }
  void Remove(const base::Digest& digest) override {
    const absl::MutexLock held(&mutex_);
    removed_.push_back(digest);
  }

  [[nodiscard]] swarm::SessionTotals Totals() const override { return {}; }

  void FailSeeds(const absl::Status& status) {
    const absl::MutexLock held(&mutex_);
    seed_status_ = status;
  }
  std::vector<std::string> seeds() {
    const absl::MutexLock held(&mutex_);
    return seeds_;
  }
  std::vector<base::Digest> removed() {
    const absl::MutexLock held(&mutex_);
    return removed_;
  }
  /// The first download; waits for it.
  std::optional<DownloadCall> FirstDownload() {
    const absl::MutexLock held(&mutex_);
    const auto some = [this] { return !downloads_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), kPatience)) return std::nullopt;
    return downloads_.front();
  }

 private:
  absl::Mutex mutex_;
  absl::Status seed_status_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> seeds_ ABSL_GUARDED_BY(mutex_);
  std::vector<DownloadCall> downloads_ ABSL_GUARDED_BY(mutex_);
  std::vector<base::Digest> removed_ ABSL_GUARDED_BY(mutex_);
};

/// A registry without a network: by default it has every layer that Put() gave it.
class FakeOrigins final : public Origins {
 public:
  using Handler = std::function<absl::Status(const LayerRequest&, registry::BlobSink&,
                                             registry::Cancellation&)>;

  void Put(const std::string& content) {
    const absl::MutexLock held(&mutex_);
    contents_[base::Digest::Of(content)] = content;
  }
  /// What is sent instead.
  void Handle(Handler handler) {
    const absl::MutexLock held(&mutex_);
    handler_ = std::move(handler);
  }

  absl::Status Fetch(const LayerRequest& request, registry::BlobSink& sink,
                     registry::Cancellation& cancellation) override {
    Handler handler;
    std::string content;
    {
      const absl::MutexLock held(&mutex_);
      asked_.push_back(request);
      handler = handler_;
      const auto it = contents_.find(request.digest);
      if (!handler && it == contents_.end()) return absl::NotFoundError("no such layer");
      if (it != contents_.end()) content = it->second;
    }
    if (handler) return handler(request, sink, cancellation);
    return Send(content, sink);
  }
  /// What is there under a tag or a digest, whatever the repository.
  void PutManifest(const std::string& reference, const std::string& text) {
    const absl::MutexLock held(&mutex_);
    manifests_[reference] = text;
  }
  absl::StatusOr<std::string> FetchManifest(const registry::ImageName& image,
                                            registry::Cancellation&) override {
    const absl::MutexLock held(&mutex_);
    const auto it = manifests_.find(image.reference());
    if (it == manifests_.end()) return absl::NotFoundError("no such manifest");
    return it->second;
  }
  [[nodiscard]] absl::Status Allows(const std::string&) const override { return absl::OkStatus(); }

  static absl::Status Send(const std::string& content, registry::BlobSink& sink) {
    EAGLE_RETURN_IF_ERROR(sink.Begin(static_cast<std::int64_t>(content.size())));
    const std::size_t half = content.size() / 2;
    EAGLE_RETURN_IF_ERROR(sink.Write(std::string_view(content).substr(0, half)));
    return sink.Write(std::string_view(content).substr(half));
  }

  std::vector<LayerRequest> asked() {
    const absl::MutexLock held(&mutex_);
    return asked_;
  }
  bool WaitAsked(std::size_t times) {
    const absl::MutexLock held(&mutex_);
    const auto enough = [this, times] { return asked_.size() >= times; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }

 private:
  absl::Mutex mutex_;
  Handler handler_ ABSL_GUARDED_BY(mutex_);
  std::map<base::Digest, std::string> contents_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> manifests_ ABSL_GUARDED_BY(mutex_);
  std::vector<LayerRequest> asked_ ABSL_GUARDED_BY(mutex_);
};

/// The rest of the cluster; not healthy unless told otherwise.
class FakeOtherSeeders final : public OtherSeeders {
 public:
  using Handler =
      std::function<OtherSeederAnswer(const std::string& seeder, const LayerRequest& request,
                                      const ProgressCallback&, registry::Cancellation&)>;

  void Handle(Handler handler) {
    const absl::MutexLock held(&mutex_);
    handler_ = std::move(handler);
  }
  OtherSeederAnswer Watch(const std::string& seeder, const LayerRequest& request,
                          const ProgressCallback& progress,
                          registry::Cancellation& cancellation) override {
    Handler handler;
    {
      const absl::MutexLock held(&mutex_);
      asked_.push_back(seeder);
      handler = handler_;
    }
    if (handler) return handler(seeder, request, progress, cancellation);
    return {false, absl::UnavailableError("connection refused")};
  }

  std::vector<std::string> asked() {
    const absl::MutexLock held(&mutex_);
    return asked_;
  }
  bool WaitAsked(std::size_t times) {
    const absl::MutexLock held(&mutex_);
    const auto enough = [this, times] { return asked_.size() >= times; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }

 private:
  absl::Mutex mutex_;
  Handler handler_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
};

class RecordingObserver final : public FetchObserver {
 public:
  void OnProgress(std::int64_t bytes_fetched, std::int64_t bytes_total) override {
    const absl::MutexLock held(&mutex_);
    progress_.emplace_back(bytes_fetched, bytes_total);
  }
  void OnDone(const absl::StatusOr<LayerAnswer>& answer) override {
    const absl::MutexLock held(&mutex_);
    ++ends_;
    answer_ = answer;
  }

  absl::StatusOr<LayerAnswer> Wait() {
    const absl::MutexLock held(&mutex_);
    const auto ended = [this] { return ends_ > 0; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&ended), kPatience)) {
      return absl::DeadlineExceededError("no end was reported");
    }
    return answer_;
  }
  bool WaitProgress(std::int64_t bytes_fetched, std::int64_t bytes_total) {
    const absl::MutexLock held(&mutex_);
    const auto seen = [&] {
      return !progress_.empty() && progress_.back() == std::pair{bytes_fetched, bytes_total};
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&seen), kPatience);
  }
  std::size_t messages() {
    const absl::MutexLock held(&mutex_);
    return progress_.size();
  }
  bool WaitMessages(std::size_t count) {
    const absl::MutexLock held(&mutex_);
    const auto enough = [this, count] { return progress_.size() >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  int ends() {
    const absl::MutexLock held(&mutex_);
    return ends_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::pair<std::int64_t, std::int64_t>> progress_ ABSL_GUARDED_BY(mutex_);
  int ends_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::StatusOr<LayerAnswer> answer_ ABSL_GUARDED_BY(mutex_) = absl::UnknownError("none");
};

}  // namespace eagle::seeder
