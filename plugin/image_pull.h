#pragma once

#include <chrono>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "lib/base/digest.h"
#include "plugin/layer_supply.h"

namespace eagle::plugin {

/// One image being pulled, as far as P2P goes: how long its layers have waited in vain, and whether
/// P2P is over for it. A pull of the same image that follows at once gets one layer to find out
/// whether all is well again. Not thread-safe; time is handed in.
class ImagePull {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  /// Progress that is reported in steps no longer apart than this is not interrupted.
  static constexpr std::chrono::milliseconds kGrace{500};

  /// A layer is asked for. One that was before is asked for by a new pull of the image.
  void Ask(const base::Digest& layer);
  /// Why a layer may not wait for P2P now; kNone: it may, and StartWaiting() has to follow.
  [[nodiscard]] Fallback Admit();

  /// A layer of it begins, or ends, to wait for P2P.
  void StartWaiting(TimePoint now);
  enum class Result { kServed, kInVain, kCancelled };
  void StopWaiting(TimePoint now, Result result);
  /// Bytes of one of the layers waited for have moved.
  void Progress(TimePoint now);
  [[nodiscard]] bool waiting() const { return waiting_ > 0; }

  /// Time that counted as progress and was none worth the name.
  void Waste(Duration time) { in_vain_ += time; }

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
  /// Whoever was to prefetch has forgotten it.
  void PrefetchAgain() { prefetched_ = false; }

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
  // While tripped: one layer may wait.
  bool half_open_ = false;
  absl::flat_hash_set<base::Digest> asked_;
  bool prefetched_ = false;
};

}  // namespace eagle::plugin
