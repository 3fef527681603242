#include "plugin/image_pull.h"

#include <gtest/gtest.h>

namespace eagle::plugin {
namespace {

using std::chrono::milliseconds;
using Result = ImagePull::Result;

constexpr ImagePull::TimePoint At(int ms) {
  return ImagePull::TimePoint(milliseconds(ms));
}

TEST(ImagePull, CountsOnlyTimeWithoutProgress) {
  ImagePull pull;
  pull.StartWaiting(At(0));
  for (int t = 250; t <= 10'000; t += 250) pull.Progress(At(t));
  EXPECT_EQ(pull.TimeInVain(At(10'250)), milliseconds(0));
  EXPECT_EQ(pull.TimeInVain(At(12'000)), milliseconds(2000));
  pull.Progress(At(12'000));
  EXPECT_EQ(pull.TimeInVain(At(12'100)), milliseconds(2000));
  EXPECT_EQ(pull.TimeInVain(At(13'000)), milliseconds(3000));
}

TEST(ImagePull, AddsUpLayersThatWaitOneAfterTheOther) {
  ImagePull pull;
  for (int i = 0; i < 5; ++i) {
    pull.StartWaiting(At(i * 1000));
    pull.StopWaiting(At(i * 1000 + 300), Result::kInVain);
  }
  EXPECT_EQ(pull.TimeInVain(At(10'000)), milliseconds(1500));
  pull.StartWaiting(At(10'000));
  pull.StopWaiting(At(10'400), Result::kServed);
  EXPECT_EQ(pull.TimeInVain(At(20'000)), milliseconds(1500));
}

TEST(ImagePull, CountsLayersThatWaitSideBySideOnce) {
  ImagePull pull;
  pull.StartWaiting(At(0));
  pull.StartWaiting(At(100));
  pull.StopWaiting(At(1000), Result::kInVain);
  EXPECT_EQ(pull.TimeInVain(At(1000)), milliseconds(1000));
  pull.Progress(At(1200));
  pull.StopWaiting(At(1300), Result::kServed);
  EXPECT_EQ(pull.TimeInVain(At(5000)), milliseconds(1200));
}

TEST(ImagePull, StaysTrippedForTheFirstReason) {
  ImagePull pull;
  EXPECT_EQ(pull.tripped(), Fallback::kNone);
  pull.Trip(Fallback::kSidecarHung);
  pull.Trip(Fallback::kBudget);
  EXPECT_EQ(pull.tripped(), Fallback::kSidecarHung);
}

TEST(ImagePull, IsOverSomeTimeAfterItsLastStream) {
  ImagePull pull;
  pull.AddStream();
  EXPECT_FALSE(pull.Over(At(100'000), milliseconds(2000)));
  pull.RemoveStream(At(100'000));
  EXPECT_FALSE(pull.Over(At(101'000), milliseconds(2000)));
  EXPECT_TRUE(pull.Over(At(102'001), milliseconds(2000)));
  EXPECT_TRUE(pull.TakePrefetch());
  EXPECT_FALSE(pull.TakePrefetch());
}

TEST(ImagePull, ANewPullOfATrippedImageLetsOneLayerTry) {
  const base::Digest a = base::Digest::Of("a");
  const base::Digest b = base::Digest::Of("b");
  ImagePull pull;
  pull.Ask(a);
  EXPECT_EQ(pull.Admit(), Fallback::kNone);
  pull.Trip(Fallback::kBudget);
  pull.Waste(milliseconds(10'000));
  pull.Ask(b);
  EXPECT_EQ(pull.Admit(), Fallback::kBudget);
  pull.Ask(a);
  EXPECT_EQ(pull.TimeInVain(At(0)), milliseconds(0));
  EXPECT_EQ(pull.Admit(), Fallback::kNone);
  EXPECT_EQ(pull.Admit(), Fallback::kBudget);
  pull.StartWaiting(At(0));
  pull.StopWaiting(At(100), Result::kInVain);
  EXPECT_EQ(pull.Admit(), Fallback::kBudget);
  pull.Ask(a);
  EXPECT_EQ(pull.Admit(), Fallback::kNone);
  pull.StartWaiting(At(200));
  pull.StopWaiting(At(300), Result::kServed);
  EXPECT_EQ(pull.Admit(), Fallback::kNone);
  EXPECT_EQ(pull.Admit(), Fallback::kNone);
}

}  // namespace
}  // namespace eagle::plugin
