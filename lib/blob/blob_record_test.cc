#include "lib/blob/blob_record.h"

#include <gtest/gtest.h>

namespace eagle::blob {
namespace {

TEST(BlobRecord, StateSurvivesEncoding) {
  for (const BlobState& state : {BlobState{1, false, ""}, BlobState{1 << 30, true, "a/b"},
                                 BlobState{5, true, std::string(kMaxSourceBytes, 'x')}}) {
    const auto decoded = DecodeState(EncodeState(state));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, state);
  }
}

TEST(BlobRecord, EncodingIsTheDocumentedOne) {
  EXPECT_EQ(EncodeState({0x0102, true, "ab"}),
            std::string("\x01\x01\x02\x01\x00\x00\x00\x00\x00\x00\x02\x00"
                        "ab",
                        14));
}

TEST(BlobRecord, RefusesWhatItDidNotWrite) {
  const std::string good = EncodeState({7, true, "source"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(DecodeState(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeState(good + "x").ok());
  std::string version = good;
  version[0] = 2;
  EXPECT_FALSE(DecodeState(version).ok());
  std::string flags = good;
  flags[1] = 4;
  EXPECT_FALSE(DecodeState(flags).ok());
  std::string negative = good;
  negative[9] = static_cast<char>(0x80);
  EXPECT_FALSE(DecodeState(negative).ok());
}

TEST(BlobRecord, LastUseSurvivesEncoding) {
  const std::chrono::system_clock::time_point time(
      std::chrono::microseconds(1'700'000'000'000'001));
  const auto decoded = DecodeLastUsed(EncodeLastUsed(time));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, time);
  EXPECT_FALSE(DecodeLastUsed("1234567").ok());
  EXPECT_FALSE(DecodeLastUsed("\xff\xff\xff\xff\xff\xff\xff\xff").ok());
}

}  // namespace
}  // namespace eagle::blob
