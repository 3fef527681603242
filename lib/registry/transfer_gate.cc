#include "lib/registry/transfer_gate.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace eagle::registry {
namespace {

// What an idle origin may send at once beyond its rate.
constexpr std::chrono::milliseconds kBurst{100};
constexpr absl::Duration kCancellationPoll = absl::Milliseconds(50);

}  // namespace

TransferGate::Pass::Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}

TransferGate::Pass::~Pass() {
  if (gate_ != nullptr) gate_->Leave();
}

TransferGate::Pass TransferGate::Enter(Cancellation& cancellation) {
  const absl::MutexLock held(&mutex_);
  const auto free = [this] { return max_connections_ == 0 || used_ < max_connections_; };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&free), kCancellationPoll)) {
    if (cancellation.cancelled()) return Pass();
  }
  ++used_;
  return Pass(this);
}

void TransferGate::Leave() {
  const absl::MutexLock held(&mutex_);
  --used_;
}

bool TransferGate::Arrived(std::int64_t bytes, Cancellation& cancellation) {
  if (rate_.unlimited()) return !cancellation.cancelled();
  std::chrono::nanoseconds wait{};
  {
    const absl::MutexLock held(&mutex_);
    const auto now = clock_.Now();
    const auto cost =
        std::chrono::duration_cast<base::Clock::TimePoint::duration>(std::chrono::duration<double>(
            static_cast<double>(bytes) / static_cast<double>(rate_.bytes_per_second)));
    paid_ = std::max(paid_, now - kBurst) + cost;
    wait = paid_ - now;
  }
  if (wait <= std::chrono::nanoseconds(0)) return !cancellation.cancelled();
  return cancellation.Sleep(std::chrono::ceil<std::chrono::milliseconds>(wait));
}

}  // namespace eagle::registry
