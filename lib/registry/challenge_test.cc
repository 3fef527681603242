#include "lib/registry/challenge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eagle::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::vector<Challenge> Parse(const std::string& header) {
  auto challenges = ParseChallenges(header);
  EXPECT_TRUE(challenges.ok()) << header << ": " << challenges.status();
  return challenges.value_or(std::vector<Challenge>());
}

TEST(Challenge, ReadsARegistrysBearerChallenge) {
  const auto challenges = Parse(
      "Bearer realm=\"https://auth.example/token\",service=\"registry.example\","
      "scope=\"repository:library/app:pull,push\"");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].scheme, "bearer");
  EXPECT_THAT(
      challenges[0].parameters,
      ElementsAre(Pair("realm", "https://auth.example/token"), Pair("service", "registry.example"),
                  Pair("scope", "repository:library/app:pull,push")));
  EXPECT_EQ(challenges[0].Parameter("error"), std::nullopt);
}

TEST(Challenge, ReadsSeveralInOneHeader) {
  // RFC 9110, 11.6.1 gives this one.
  const auto challenges = Parse(
      "Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"");
  ASSERT_EQ(challenges.size(), 2u);
  EXPECT_EQ(challenges[0].scheme, "basic");
  EXPECT_THAT(challenges[0].parameters, ElementsAre(Pair("realm", "simple")));
  EXPECT_EQ(challenges[1].scheme, "newauth");
  EXPECT_THAT(challenges[1].parameters, ElementsAre(Pair("realm", "apps"), Pair("type", "1"),
                                                    Pair("title", "Login to \"apps\"")));
}

TEST(Challenge, ReadsSchemesWithoutParametersAndToken68) {
  const auto challenges = Parse("Negotiate, NTLM TlRMTVNTUAAC==, , Bearer realm=x");
  ASSERT_EQ(challenges.size(), 3u);
  EXPECT_EQ(challenges[0].scheme, "negotiate");
  EXPECT_TRUE(challenges[0].parameters.empty());
  EXPECT_EQ(challenges[1].token68, "TlRMTVNTUAAC==");
  EXPECT_EQ(challenges[2].Parameter("realm"), "x");
}

TEST(Challenge, QuotesHideWhatLooksLikeAnotherChallenge) {
  const auto challenges = Parse("Bearer realm=\"a, Basic realm=b\", scope=\"\"");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].Parameter("realm"), "a, Basic realm=b");
  EXPECT_EQ(challenges[0].Parameter("scope"), "");
}

TEST(Challenge, AllowsSpaceAroundEqualsAndBareUrls) {
  const auto challenges =
      Parse(" ,\tBEARER  Realm = https://a.example/token?x=1 , Service\t=\ts ,");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].Parameter("realm"), "https://a.example/token?x=1");
  EXPECT_EQ(challenges[0].Parameter("service"), "s");
}

TEST(Challenge, NothingIsNoChallenge) {
  EXPECT_TRUE(Parse("").empty());
  EXPECT_TRUE(Parse(" , ,").empty());
}

TEST(Challenge, RefusesWhatIsMalformed) {
  for (const char* bad :
       {"=", "Bearer =", "Bearer realm=\"open", "Bearer realm=\"x\" y", "Bearer realm=\"x\"y=1",
        "Bearer realm=\"\\", "Bearer realm=\"a\nb\"", "Bearer realm=,service=s x", "\"Bearer\"",
        "Bearer realm=a, realm=b", "Basic(realm=x)", "Bearer realm=\"a\" service=\"b\""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseChallenges(bad).status())) << bad;
  }
  std::string many = "Bearer p0=x";
  for (int i = 1; i < 17; ++i) many += ",p" + std::to_string(i) + "=x";
  EXPECT_FALSE(ParseChallenges(many).ok());
  many.clear();
  for (int i = 0; i < 17; ++i) many += "Basic,";
  EXPECT_FALSE(ParseChallenges(many).ok());
}

}  // namespace
}  // namespace eagle::registry
