#include "plugin/sidecar_breaker.h"

#include <gtest/gtest.h>

namespace eagle::plugin {
namespace {

using std::chrono::milliseconds;

constexpr SidecarBreaker::TimePoint At(int ms) {
  return SidecarBreaker::TimePoint(milliseconds(ms));
}

TEST(SidecarBreaker, StaysOpenUntilAProbeIsAnswered) {
  SidecarBreaker breaker(milliseconds(2000));
  EXPECT_FALSE(breaker.TakeProbe(At(0)));
  breaker.Open(Fallback::kSidecarHung, At(0));
  EXPECT_EQ(breaker.verdict(), Fallback::kSidecarHung);
  EXPECT_FALSE(breaker.TakeProbe(At(499)));
  EXPECT_TRUE(breaker.TakeProbe(At(500)));
  EXPECT_FALSE(breaker.TakeProbe(At(5000)));
  breaker.ProbeEnded(false, At(1500));
  EXPECT_EQ(breaker.verdict(), Fallback::kSidecarHung);
  EXPECT_FALSE(breaker.TakeProbe(At(2499)));
  EXPECT_TRUE(breaker.TakeProbe(At(2500)));
  breaker.ProbeEnded(true, At(2600));
  EXPECT_EQ(breaker.verdict(), Fallback::kNone);
}

TEST(SidecarBreaker, ProbesLessAndLessUnlessSomebodyWantsTheSidecar) {
  SidecarBreaker breaker(milliseconds(2000));
  breaker.Open(Fallback::kSidecarHung, At(0));
  int probes = 0;
  for (int ms = 0; ms < 600'000; ms += 100) {
    if (!breaker.TakeProbe(At(ms))) continue;
    ++probes;
    breaker.ProbeEnded(false, At(ms));
  }
  EXPECT_GE(probes, 40);
  EXPECT_LE(probes, 50);
  EXPECT_FALSE(breaker.TakeProbe(At(600'000)));
  breaker.Want(At(600'000));
  EXPECT_TRUE(breaker.TakeProbe(At(600'000)));
}

TEST(SidecarBreaker, ASidecarThatBrokeOffMayBeRestartingForAWhile) {
  SidecarBreaker breaker(milliseconds(2000));
  EXPECT_FALSE(breaker.Restarting(At(0)));
  breaker.Heard(At(0));
  breaker.BrokeOff(At(100));
  // The first of several counts.
  breaker.BrokeOff(At(1000));
  EXPECT_TRUE(breaker.Restarting(At(2100)));
  EXPECT_FALSE(breaker.Restarting(At(2101)));
  breaker.Heard(At(3000));
  breaker.BrokeOff(At(4000));
  EXPECT_TRUE(breaker.Restarting(At(4000)));
}

}  // namespace
}  // namespace eagle::plugin
