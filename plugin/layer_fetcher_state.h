#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "plugin/layer_fetcher.h"

// What LayerFetcher keeps of its streams and jobs; included by its own sources only.
namespace eagle::plugin {

/// An image is still the same pull when its next layer comes this soon after the last one ended.
inline constexpr std::chrono::seconds kPullLinger{2};

/// Up to a fifth more or less, so that the nodes of a cluster do not turn to the registry at once.
std::chrono::milliseconds Jittered(std::chrono::milliseconds timeout);

/// One Get(). Guarded by the fetcher's mutex, but for the request.
struct LayerFetcher::Stream {
  Request request;
  /// Empty once it has been called.
  Done done;
  TimePoint asked;
  bool waits_for_index = false;
  PullPtr pull;
  /// Counted by the pull as waiting.
  bool in_pull = false;
  JobPtr job;
};

/// One layer on its way from the sidecar. Guarded by the fetcher's mutex, but for the constants.
struct LayerFetcher::Job {
  Job(const base::Digest& d, std::int64_t size, std::chrono::milliseconds stall, TimePoint now)
      : digest(d), size_bytes(size), stall_timeout(stall), last_event(now), last_progress(now) {}

  const base::Digest digest;
  const std::int64_t size_bytes;
  const std::chrono::milliseconds stall_timeout;
  /// Stops a verification that nobody waits for.
  const std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);

  std::vector<StreamPtr> streams;
  std::shared_ptr<SidecarClient::Call> call;
  bool verifying = false;
  bool closed = false;
  TimePoint last_event;
  TimePoint last_progress;
  SidecarClient::Progress best;
  std::int64_t contiguous = 0;
  SidecarClient::End end;
};

}  // namespace eagle::plugin
