#include "plugin/image_pull.h"

namespace eagle::plugin {

void ImagePull::StartWaiting(TimePoint now) {
  if (waiting_++ == 0) mark_ = now;
}

void ImagePull::StopWaiting(TimePoint now, Result result) {
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
