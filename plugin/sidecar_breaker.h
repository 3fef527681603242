#pragma once

#include <chrono>
#include <optional>

#include "plugin/layer_supply.h"

namespace eagle::plugin {

/// What is known about the health of this node's sidecar: whether layers may wait for it at all,
/// and whether one that has gone may be on its way back. Not thread-safe; time is handed in.
class SidecarBreaker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;

  /// Between two questions for a sign of life, the second figure after many in vain. A layer that
  /// is turned away asks at once.
  static constexpr Duration kProbeEvery{500};
  static constexpr Duration kProbeAtLeastEvery{15'000};

  /// `restart_patience`: how long a sidecar that broke off may take to come back.
  explicit SidecarBreaker(Duration restart_patience) : restart_patience_(restart_patience) {}

  /// It said something.
  void Heard(TimePoint now) {
    heard_at_ = now;
    broke_off_at_.reset();
  }
  [[nodiscard]] bool SilentFor(Duration time, TimePoint now) const {
    return now - heard_at_ > time;
  }

  /// A transfer that had begun ended with the sidecar.
  void BrokeOff(TimePoint now) {
    if (!broke_off_at_) broke_off_at_ = now;
  }
  /// It broke off so lately that asking again is worth the while.
  [[nodiscard]] bool Restarting(TimePoint now) const {
    return broke_off_at_ && now - *broke_off_at_ <= restart_patience_;
  }

  /// No layer waits for it any more until it has answered a probe.
  void Open(Fallback reason, TimePoint now);
  /// kNone: layers may wait.
  [[nodiscard]] Fallback verdict() const { return verdict_; }
  [[nodiscard]] bool open() const { return verdict_ != Fallback::kNone; }

  /// Somebody would use it now.
  void Want(TimePoint now) {
    if (open()) probe_at_ = now;
  }
  /// True when it is to be asked for a sign of life now; ProbeEnded() must follow.
  [[nodiscard]] bool TakeProbe(TimePoint now);
  void ProbeEnded(bool alive, TimePoint now);

 private:
  const Duration restart_patience_;
  TimePoint heard_at_;
  std::optional<TimePoint> broke_off_at_;
  Fallback verdict_ = Fallback::kNone;
  bool probing_ = false;
  Duration pause_ = kProbeEvery;
  TimePoint probe_at_;
};

}  // namespace eagle::plugin
