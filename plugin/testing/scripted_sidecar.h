#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "plugin/sidecar_client.h"
#include "plugin/testing/wait.h"

namespace eagle::plugin::testing {

/// A sidecar without a process or a socket: the test says what each call hears. Thread-safe.
class ScriptedSidecar final : public SidecarClient {
 public:
  struct Fetched final : Call {
    WantedLayer layer;
    Listener listener;
    std::atomic<bool> cancelled = false;
    void Cancel() override { cancelled = true; }
  };
  using ProbeDone = std::function<void(bool)>;

  std::shared_ptr<Call> Fetch(const WantedLayer& layer, Listener listener) override {
    auto call = std::make_shared<Fetched>();
    call->layer = layer;
    call->listener = std::move(listener);
    absl::MutexLock lock(&mutex_);
    fetches_.push_back(call);
    return call;
  }
  void Prefetch(const std::vector<WantedLayer>& layers) override {
    absl::MutexLock lock(&mutex_);
    prefetches_.push_back(layers.size());
  }
  void Discard(const base::Digest&) override {}
  void Deleted(const std::vector<base::Digest>& digests) override {
    absl::MutexLock lock(&mutex_);
    deletions_.push_back(digests);
  }
  void Probe(std::chrono::milliseconds, ProbeDone done) override {
    absl::MutexLock lock(&mutex_);
    probes_.push_back(std::move(done));
  }

  /// The n-th Fetch (from 0), once it has come.
  std::shared_ptr<Fetched> AwaitFetch(std::size_t n) {
    return Eventually([&] { return fetches() > n; }) ? Copy(fetches_)[n] : nullptr;
  }
  ProbeDone AwaitProbe(std::size_t n) {
    return Eventually([&] { return Copy(probes_).size() > n; }) ? Copy(probes_)[n] : nullptr;
  }
  [[nodiscard]] std::size_t fetches() const { return Copy(fetches_).size(); }
  /// How many layers each call named.
  [[nodiscard]] std::vector<std::size_t> prefetches() const { return Copy(prefetches_); }
  [[nodiscard]] std::vector<std::vector<base::Digest>> deletions() const {
    return Copy(deletions_);
  }

 private:
  template <typename T>
  std::vector<T> Copy(const std::vector<T>& from) const {
    absl::MutexLock lock(&mutex_);
    return from;
  }

  mutable absl::Mutex mutex_;
  std::vector<std::shared_ptr<Fetched>> fetches_;
  std::vector<std::size_t> prefetches_;
  std::vector<std::vector<base::Digest>> deletions_;
  std::vector<ProbeDone> probes_;
};

}  // namespace eagle::plugin::testing
