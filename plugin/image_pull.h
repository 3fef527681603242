#pragma once

#include <chrono>
#include <utility>

#include "plugin/layer_supply.h"

namespace eagle::plugin {

/// One image being pulled, as far as P2P goes: how long its layers have waited in vain, and whether
/// P2P is over for it. Not thread-safe; time is handed in.
class ImagePull {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  /// Progress that is reported in steps no longer apart than this is not interrupted.
  static constexpr std::chrono::milliseconds kGrace{500};

  /// A layer of it begins, or ends, to wait for P2P.
  void StartWaiting(TimePoint now);
  enum class Result { kServed, kInVain };
  void StopWaiting(TimePoint now, Result result);
  /// Bytes of one of the layers waited for have moved.
  void Progress(TimePoint now);
  [[nodiscard]] bool waiting() const { return waiting_ > 0; }

  /// Time without progress so far, all layers together (they wait side by side).
  [[nodiscard]] Duration TimeInVain(TimePoint now) const;

  /// The rest of this image's layers come from the registry. The first reason stays.
  void Trip(Fallback reason) {
    if (tripped_ == Fallback::kNone) tripped_ = reason;
  }
  /// kNone while P2P is on.
  [[nodiscard]] Fallback tripped() const { return tripped_; }

  /// True the first time.
  [[nodiscard]] bool TakePrefetch() { return !std::exchange(prefetched_, true); }

  /// Streams that belong to it, waiting or not: while there is one, it is the same pull.
  void AddStream() { ++streams_; }
  void RemoveStream(TimePoint now) {
    --streams_;
    last_used_ = now;
  }
  [[nodiscard]] bool Over(TimePoint now, Duration linger) const {
    return streams_ == 0 && now - last_used_ > linger;
  }

 private:
  int streams_ = 0;
  int waiting_ = 0;
  TimePoint last_used_;
  // The last moment at which something moved or the wait began.
  TimePoint mark_;
  Duration in_vain_{0};
  Fallback tripped_ = Fallback::kNone;
  bool prefetched_ = false;
};

}  // namespace eagle::plugin
