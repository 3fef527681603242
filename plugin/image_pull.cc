#include "plugin/image_pull.h"

namespace eagle::plugin {

void ImagePull::Ask(const base::Digest& layer) {
  if (asked_.insert(layer).second) return;
  asked_ = {layer};
  in_vain_ = Duration{0};
  prefetched_ = false;
  half_open_ = tripped_ != Fallback::kNone;
}

Fallback ImagePull::Admit() {
  if (tripped_ == Fallback::kNone || std::exchange(half_open_, false)) return Fallback::kNone;
  return tripped_;
}

void ImagePull::StartWaiting(TimePoint now) {
  if (waiting_++ == 0) mark_ = now;
}

void ImagePull::StopWaiting(TimePoint now, Result result) {
  if (result == Result::kServed) tripped_ = Fallback::kNone;
  if (result == Result::kCancelled) half_open_ = tripped_ != Fallback::kNone;
  // While others wait, the clock goes on for them.
  if (--waiting_ > 0) return;
  if (result == Result::kInVain) in_vain_ += now - mark_;
  mark_ = now;
}

void ImagePull::Progress(TimePoint now) {
  if (waiting_ == 0) return;
  if (now - mark_ > kGrace) in_vain_ += now - mark_;
  mark_ = now;
}

ImagePull::Duration ImagePull::TimeInVain(TimePoint now) const {
  return waiting_ > 0 && now - mark_ > kGrace ? in_vain_ + (now - mark_) : in_vain_;
}

}  // namespace eagle::plugin
