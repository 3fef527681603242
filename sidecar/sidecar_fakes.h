#pragma once

// What the tests of the sidecar's logic share. Nothing runs by itself: a test gives time and lets
// the queues run.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/digest.h"
#include "lib/swarm/torrent.h"
#include "sidecar/layer.h"
#include "sidecar/layer_transfers.h"
#include "sidecar/metainfo_client.h"
#include "sidecar/swarm.h"

namespace eagle::sidecar {

/// Strand and disk threads in one: runs what was posted, in order, when told to.
class ManualExecutor {
 public:
  [[nodiscard]] Executor executor() {
    return [this](std::function<void()> task) {
      absl::MutexLock lock(&mutex_);
      tasks_.push_back(std::move(task));
    };
  }
  void RunAll() {
    while (const auto task = Next()) task();
  }

 private:
  std::function<void()> Next() {
    absl::MutexLock lock(&mutex_);
    if (tasks_.empty()) return nullptr;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

struct TestLayer {
  std::string data;
  base::Digest digest;
  std::string metainfo;
  WantedLayer wanted;
};

inline TestLayer MakeTestLayer(const std::string& data) {
  TestLayer layer;
  layer.data = data;
  layer.digest = base::Digest::Of(data);
  swarm::TorrentBuilder builder(static_cast<std::int64_t>(data.size()));
  builder.Update(data);
  layer.metainfo = builder.Finish(layer.digest).value();
  layer.wanted = {layer.digest, static_cast<std::int64_t>(data.size()), {{"registry.lab", "app"}}};
  return layer;
}

/// Seeders that answer what the test says, when it says so.
class FakeMetainfoClient final : public MetainfoClient {
 public:
  struct FakeCall final : Call {
    std::size_t seeder = 0;
    std::string url;
    Listener listener;
    bool cancelled = false;
    bool connected = true;
    void Cancel() override { cancelled = true; }
    [[nodiscard]] bool Connected() const override { return connected; }
  };

  std::shared_ptr<Call> Watch(std::size_t seeder, const std::string& url,
                              Listener listener) override {
    auto call = std::make_shared<FakeCall>();
    call->seeder = seeder;
    call->url = url;
    call->listener = std::move(listener);
    call->connected = connects;
    calls.push_back(call);
    if (answer) answer(*call);
    return call;
  }

  [[nodiscard]] bool Reachable(std::size_t) override { return connects; }

  [[nodiscard]] FakeCall& last() { return *calls.back(); }

  std::vector<std::shared_ptr<FakeCall>> calls;
  bool connects = true;
  /// What every seeder says to each call; nothing by default.
  std::function<void(FakeCall&)> answer;
};

class FakeSwarm final : public Swarm {
 public:
  struct Started {
    std::string metainfo;
    std::string resume_data;
    std::vector<std::string> peers;
    swarm::DownloadObserver* observer = nullptr;
  };

  absl::Status Seed(const std::string& metainfo) override {
    seeded.push_back(swarm::ParseTorrent(metainfo).value().digest);
    present[seeded.back()] = true;
    return absl::OkStatus();
  }
  absl::Status Download(const std::string& metainfo, const std::string& resume_data,
                        const std::vector<std::string>& peers,
                        swarm::DownloadObserver* observer) override {
    const base::Digest digest = swarm::ParseTorrent(metainfo).value().digest;
    downloads[digest].push_back({metainfo, resume_data, peers, observer});
    present[digest] = true;
    return download_status;
  }
  void Remove(const base::Digest& digest) override {
    removed.push_back(digest);
    present[digest] = false;
  }
  [[nodiscard]] bool Has(const base::Digest& digest) const override {
    const auto found = present.find(digest);
    return found != present.end() && found->second;
  }
  [[nodiscard]] swarm::SessionTotals Totals() const override { return totals; }

  std::map<base::Digest, std::vector<Started>> downloads;
  std::map<base::Digest, bool> present;
  std::vector<base::Digest> seeded;
  std::vector<base::Digest> removed;
  absl::Status download_status;
  swarm::SessionTotals totals;
};

class RecordingListener final : public FetchListener {
 public:
  void OnProgress(const TransferProgress& progress) override { reports.push_back(progress); }
  void OnDone(std::int64_t bytes_from_peers, std::int64_t bytes_from_seeders) override {
    ++ends;
    done = true;
    from_peers = bytes_from_peers;
    from_seeders = bytes_from_seeders;
  }
  void OnFailed(const Failure& why) override {
    ++ends;
    failed = true;
    failure = why;
  }

  std::vector<TransferProgress> reports;
  int ends = 0;
  bool done = false;
  bool failed = false;
  Failure failure;
  std::int64_t from_peers = -1;
  std::int64_t from_seeders = -1;
};

}  // namespace eagle::sidecar
