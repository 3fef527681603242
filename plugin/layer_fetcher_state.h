#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "plugin/layer_fetcher.h"

// What LayerFetcher keeps of its streams and jobs; included by its own sources only.
namespace eagle::plugin {

/// An image is still the same pull when its next layer comes this soon after the last one ended.
inline constexpr std::chrono::seconds kPullLinger{2};

/// A sidecar that broke off is asked again this often, and this many times one layer puts up with
/// it.
inline constexpr std::chrono::milliseconds kAskAgainEvery{50};
inline constexpr int kMostBreakOffs = 3;
/// Over this long `min_rate` is measured.
inline constexpr std::chrono::seconds kRateWindow{10};

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
  Job(WantedLayer wanted, std::chrono::milliseconds stall, TimePoint now)
      : layer(std::move(wanted)),
        stall_timeout(stall),
        asked_at(now),
        last_event(now),
        last_progress(now),
        window_start(now) {}

  const WantedLayer layer;
  const std::chrono::milliseconds stall_timeout;
  /// Stops a verification that nobody waits for.
  const std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);

  std::vector<StreamPtr> streams;
  std::shared_ptr<SidecarClient::Call> call;
  /// Counts the calls: one that broke off is followed by another.
  int attempt = 0;
  int break_offs = 0;
  /// There is no call until then.
  std::optional<TimePoint> ask_again_at;
  bool verifying = false;
  bool closed = false;
  /// Of the running call.
  TimePoint asked_at;
  bool heard = false;
  TimePoint last_event;
  TimePoint last_progress;
  SidecarClient::Progress best;
  std::int64_t contiguous = 0;
  SidecarClient::End end;
  TimePoint window_start;
  std::int64_t window_score = 0;

  /// All that has moved anywhere, to measure a rate by.
  [[nodiscard]] std::int64_t score() const {
    return std::max(best.bytes_done, best.bytes_received) + best.bytes_at_origin;
  }
};

}  // namespace eagle::plugin
