#pragma once

// What the tests of sessions share. Each session has a loopback address of its own, as hosts have.

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "lib/base/digest.h"
#include "lib/swarm/session.h"
#include "lib/swarm/torrent.h"
#include "lib/testing/temp_dir.h"

namespace eagle::swarm {

struct Layer {
  std::string data;
  base::Digest digest;
  std::string metainfo;
};

inline Layer MakeLayer(std::size_t size, std::uint32_t seed = 1) {
  Layer layer;
  layer.data.resize(size);
  for (char& byte : layer.data) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    byte = static_cast<char>(seed >> 24);
  }
  layer.digest = base::Digest::Of(layer.data);
  TorrentBuilder builder(static_cast<std::int64_t>(size));
  builder.Update(layer.data);
  layer.metainfo = builder.Finish(layer.digest).value();
  return layer;
}

inline std::string FileOf(const std::string& directory, const base::Digest& digest) {
  return directory + "/" + digest.hex();
}

inline void WriteFile(const std::string& path, const std::string& data) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << data;
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Remembers what it was told; waits are bounded.
class RecordingObserver final : public DownloadObserver {
 public:
  void OnProgress(const base::Digest&, const Progress& progress) override {
    absl::MutexLock lock(&mutex_);
    if (progress.bytes_contiguous > progress.bytes_done ||
        progress.bytes_done < progress_.bytes_done) {
      consistent_ = false;
    }
    progress_ = progress;
    ++reports_;
  }
  void OnComplete(const base::Digest&, const Progress& progress) override {
    absl::MutexLock lock(&mutex_);
    progress_ = progress;
    complete_ = true;
  }
  void OnError(const base::Digest&, const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    error_ = status;
  }
  void OnResumeData(const base::Digest&, const std::string& data) override {
    absl::MutexLock lock(&mutex_);
    resume_ = data;
  }

  bool WaitComplete(int seconds = 30) {
    return Wait([this] { return complete_ || !error_.ok(); }, seconds) && complete();
  }
  bool WaitBytes(std::int64_t bytes, int seconds = 30) {
    return Wait([this, bytes] { return progress_.bytes_done >= bytes; }, seconds);
  }
  bool WaitReports(int reports, int seconds = 30) {
    return Wait([this, reports] { return reports_ >= reports; }, seconds);
  }
  bool WaitResume(int seconds = 30) {
    return Wait([this] { return !resume_.empty(); }, seconds);
  }
  bool WaitError(int seconds = 30) {
    return Wait([this] { return !error_.ok(); }, seconds);
  }

  [[nodiscard]] bool complete() const {
    absl::MutexLock lock(&mutex_);
    return complete_;
  }
  [[nodiscard]] bool consistent() const {
    absl::MutexLock lock(&mutex_);
    return consistent_;
  }
  [[nodiscard]] Progress progress() const {
    absl::MutexLock lock(&mutex_);
    return progress_;
  }
  [[nodiscard]] absl::Status error() const {
    absl::MutexLock lock(&mutex_);
    return error_;
  }
  [[nodiscard]] std::string resume() const {
    absl::MutexLock lock(&mutex_);
    return resume_;
  }

 private:
  template <typename Condition>
  bool Wait(const Condition& condition, int seconds) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&condition), absl::Seconds(seconds));
  }

  mutable absl::Mutex mutex_;
  Progress progress_;
  int reports_ = 0;
  bool complete_ = false;
  bool consistent_ = true;
  absl::Status error_;
  std::string resume_;
};

/// A session with a folder of its own.
struct Host {
  explicit Host(const std::string& address, Role role = Role::kNode, SessionOptions options = {})
      : options_(std::move(options)) {
    options_.role = role;
    options_.listen_address = address;
    Open();
  }

  void Open() {
    auto started = Session::Start(options_);
    ASSERT_TRUE(started.ok()) << started.status();
    session = std::move(*started);
  }
  [[nodiscard]] std::string endpoint() const {
    return options_.listen_address + ":" + std::to_string(session->port());
  }
  [[nodiscard]] std::string Path(const Layer& layer) const {
    return FileOf(dir.path(), layer.digest);
  }
  void Seed(const Layer& layer) {
    WriteFile(Path(layer), layer.data);
    absl::Notification announced;
    const absl::Status status =
        session->Seed({layer.metainfo, dir.path()}, [&announced] { announced.Notify(); });
    ASSERT_TRUE(status.ok()) << status;
    announced.WaitForNotification();
  }
  absl::Status Download(const Layer& layer, const std::vector<std::string>& peers,
                        const std::string& resume = "") {
    return session->Download({layer.metainfo, dir.path()}, resume, peers, &observer);
  }

  SessionOptions options_;
  testing::TempDir dir;
  RecordingObserver observer;
  std::unique_ptr<Session> session;
};

}  // namespace eagle::swarm
