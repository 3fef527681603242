#include "plugin/sidecar_breaker.h"

#include <algorithm>

namespace eagle::plugin {

void SidecarBreaker::Open(Fallback reason, TimePoint now) {
  if (open()) return;
  verdict_ = reason;
  pause_ = kProbeEvery;
  probe_at_ = now + pause_;
}

bool SidecarBreaker::TakeProbe(TimePoint now) {
  if (!open() || probing_ || now < probe_at_) return false;
  probing_ = true;
  return true;
}

void SidecarBreaker::ProbeEnded(bool alive, TimePoint now) {
  probing_ = false;
  if (alive) {
    verdict_ = Fallback::kNone;
    Heard(now);
    return;
  }
  pause_ = std::min(2 * pause_, kProbeAtLeastEvery);
  probe_at_ = now + pause_;
}

}  // namespace eagle::plugin
