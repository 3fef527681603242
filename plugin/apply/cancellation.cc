#include "plugin/apply/cancellation.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace eagle::apply {

Cancellation::Cancellation() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Cancellation::Cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof one);
}

absl::Status Cancellation::Check() const {
  return cancelled() ? absl::CancelledError("the caller no longer wants the layer")
                     : absl::OkStatus();
}

}  // namespace eagle::apply
