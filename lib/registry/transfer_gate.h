#pragma once

#include <chrono>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/units.h"
#include "lib/registry/cancellation.h"

namespace eagle::registry {

/// Bounds what one origin is asked for at a time, and how fast. Thread-safe.
class TransferGate {
 public:
  /// 0 connections and an unlimited rate are no bound. `clock` must outlive it.
  TransferGate(int max_connections, base::ByteRate rate, const base::Clock& clock)
      : max_connections_(max_connections), rate_(rate), clock_(clock) {}

  /// A connection that may be used while this lives. Must not outlive its gate.
  class Pass {
   public:
    Pass() = default;
    Pass(Pass&& other) noexcept;
    Pass& operator=(Pass&&) = delete;
    ~Pass();
    /// False when the wait was cancelled.
    [[nodiscard]] bool valid() const { return gate_ != nullptr; }

   private:
    friend class TransferGate;
    explicit Pass(TransferGate* gate) : gate_(gate) {}
    TransferGate* gate_ = nullptr;
  };

  /// Waits for its turn.
  Pass Enter(Cancellation& cancellation);
  /// So many bytes have arrived: waits until the rate allows for more. False when cancelled.
  bool Arrived(std::int64_t bytes, Cancellation& cancellation);

 private:
  void Leave();

  const int max_connections_;
  const base::ByteRate rate_;
  const base::Clock& clock_;
  absl::Mutex mutex_;
  int used_ ABSL_GUARDED_BY(mutex_) = 0;
  /// When all bytes so far have been paid for.
  base::Clock::TimePoint paid_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::registry
