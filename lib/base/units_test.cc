#include "lib/base/units.h"

#include <gtest/gtest.h>

namespace eagle::base {
namespace {

TEST(ByteSize, ParsesBinaryAndDecimalUnits) {
  EXPECT_EQ(ByteSize::Parse("0")->bytes, 0);
  EXPECT_EQ(ByteSize::Parse("512B")->bytes, 512);
  EXPECT_EQ(ByteSize::Parse("64KiB")->bytes, 65536);
  EXPECT_EQ(ByteSize::Parse("1.5 MiB")->bytes, 1572864);
  EXPECT_EQ(*ByteSize::Parse("100GiB"), GiB(100));
  EXPECT_EQ(ByteSize::Parse("10GB")->bytes, 10'000'000'000);
}

TEST(ByteSize, RefusesWhatItCannotMean) {
  for (const char* text : {"", "abc", "-1", "1KB", "1 Gi", "nan", "inf", "1e300", "9999999TiB"}) {
    EXPECT_FALSE(ByteSize::Parse(text).ok()) << text;
  }
}

TEST(ByteSize, PrintsTheLargestExactUnit) {
  EXPECT_EQ(ByteSize{0}.str(), "0B");
  EXPECT_EQ(GiB(100).str(), "100GiB");
  EXPECT_EQ(KiB(1536).str(), "1536KiB");
  EXPECT_EQ(ByteSize{1000}.str(), "1000B");
}

TEST(ByteRate, ParsesRatesAndUnlimited) {
  EXPECT_EQ(ByteRate::Parse("50MiB/s")->bytes_per_second, 50 << 20);
  EXPECT_TRUE(ByteRate::Parse("unlimited")->unlimited());
  for (const char* text : {"50MiB", "0/s", "0MiB/s", "-1B/s", ""}) {
    EXPECT_FALSE(ByteRate::Parse(text).ok()) << text;
  }
}

TEST(Duration, NeedsAUnit) {
  EXPECT_EQ(ParseDuration("250ms")->count(), 250);
  EXPECT_EQ(ParseDuration("1.5s")->count(), 1500);
  EXPECT_EQ(ParseDuration("2h")->count(), 7'200'000);
  EXPECT_FALSE(ParseDuration("5").ok());
  EXPECT_FALSE(ParseDuration("5 seconds").ok());
}

}  // namespace
}  // namespace eagle::base
