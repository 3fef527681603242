#include "lib/registry/transfer_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "lib/testing/fake_clock.h"

namespace eagle::registry {
namespace {

TEST(TransferGate, LetsOnlySoManyIn) {
  const base::SystemClock clock;
  TransferGate gate(2, {}, clock);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      Cancellation cancellation;
      for (int round = 0; round < 50; ++round) {
        const TransferGate::Pass pass = gate.Enter(cancellation);
        EXPECT_TRUE(pass.valid());
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 2);
}

TEST(TransferGate, CancellationEndsTheWaitForAPass) {
  const base::SystemClock clock;
  TransferGate gate(1, {}, clock);
  Cancellation cancellation;
  const TransferGate::Pass first = gate.Enter(cancellation);
  std::thread canceller([&] { cancellation.Cancel(); });
  EXPECT_FALSE(gate.Enter(cancellation).valid());
  canceller.join();
}

TEST(TransferGate, BytesBeyondTheRateMustWait) {
  testing::FakeClock clock;
  TransferGate gate(0, base::ByteRate{1'000'000}, clock);
  Cancellation cancellation;
  // The burst of an idle origin, a tenth of a second, passes at once.
  EXPECT_TRUE(gate.Arrived(100'000, cancellation));
  cancellation.Cancel();
  // Now there is something to wait for, which the cancellation ends.
  EXPECT_FALSE(gate.Arrived(1'000'000'000, cancellation));
  Cancellation another;
  clock.Advance(std::chrono::seconds(1'001));
  EXPECT_TRUE(gate.Arrived(1, another));
}

TEST(TransferGate, TheRateIsOfAllTogether) {
  const base::SystemClock clock;
  TransferGate gate(0, base::ByteRate{10'000'000}, clock);
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Cancellation cancellation;
      for (int round = 0; round < 10; ++round) EXPECT_TRUE(gate.Arrived(100'000, cancellation));
    });
  }
  for (std::thread& thread : threads) thread.join();
  // 4 MB at 10 MB/s, of which a tenth of a second is free. Slower is no fault of the gate's.
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(290));
}

}  // namespace
}  // namespace eagle::registry
