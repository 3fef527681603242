#include "lib/base/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace eagle::base {
namespace {

// FIPS 180-2, appendix B.1.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, OfKnownText) {
  EXPECT_EQ(Digest::Of("abc").hex(), kAbc);
  EXPECT_EQ(Digest::Of("abc").str(), std::string("sha256:") + kAbc);
}

TEST(Digest, ParsesWhatItPrints) {
  const Digest digest = Digest::Of("layer");
  EXPECT_EQ(*Digest::Parse(digest.str()), digest);
  EXPECT_EQ(*Digest::FromHex(digest.hex()), digest);
}

TEST(Digest, RefusesAnythingButLowerCaseSha256) {
  const std::string hex = kAbc;
  for (const std::string& text : std::vector<std::string>{
           "", hex, "sha256:" + hex.substr(1), "sha256:" + hex + "0", "sha512:" + hex,
           "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
           "sha256:../../../../../../../../../../../../../../../../../../etc/passwd0000"}) {
    EXPECT_FALSE(Digest::Parse(text).ok()) << text;
  }
}

TEST(Sha256, GoesOnAfterCurrent) {
  Sha256 hasher;
  hasher.Update("a");
  EXPECT_EQ(hasher.Current(), Digest::Of("a"));
  hasher.Update("bc");
  EXPECT_EQ(hasher.Current().hex(), kAbc);
}

}  // namespace
}  // namespace eagle::base
