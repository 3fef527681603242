#include "lib/base/endpoint.h"

#include <gtest/gtest.h>

namespace eagle::base {
namespace {

TEST(Endpoint, ParsesNamesAndBothFamilies) {
  EXPECT_EQ(*Endpoint::Parse("seeder-0.seeder:55008"), (Endpoint{"seeder-0.seeder", 55008}));
  EXPECT_EQ(*Endpoint::Parse("10.0.0.1:1"), (Endpoint{"10.0.0.1", 1}));
  EXPECT_EQ(*Endpoint::Parse("[fd00::1]:6969"), (Endpoint{"fd00::1", 6969}));
  EXPECT_EQ(Endpoint::Parse("[fd00::1]:6969")->str(), "[fd00::1]:6969");
}

TEST(Endpoint, RefusesWhatHasNoClearPort) {
  for (const char* text : {"", "host", ":80", "host:", "host:99999", "host:8x", "fd00::1:80",
                           "[]:1", "host:-1", "[fd00::1:1"}) {
    EXPECT_FALSE(Endpoint::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace eagle::base
