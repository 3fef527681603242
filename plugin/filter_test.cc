#include "plugin/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace eagle::plugin {
namespace {

using ::testing::HasSubstr;

bool Matches(const std::vector<std::string>& expressions,
             const std::map<std::string, std::string>& fields) {
  const auto filter = Filter::Parse(expressions);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return filter.ok() &&
         filter->Matches([&](std::span<const std::string> path) -> std::optional<std::string> {
           std::string joined;
           for (const std::string& part : path) joined += (joined.empty() ? "" : "|") + part;
           const auto found = fields.find(joined);
           if (found == fields.end()) return std::nullopt;
           return found->second;
         });
}

TEST(Filter, NoneOrAnEmptyOneMatchesEverything) {
  EXPECT_TRUE(Matches({}, {}));
  EXPECT_TRUE(Matches({""}, {}));
  EXPECT_TRUE(Matches({"digest==x", ""}, {{"digest", "y"}}));
}

TEST(Filter, ComparesFields) {
  const std::map<std::string, std::string> fields{{"digest", "sha256:ab"}};
  EXPECT_TRUE(Matches({"digest==sha256:ab"}, fields));
  EXPECT_FALSE(Matches({"digest==sha256:a"}, fields));
  EXPECT_TRUE(Matches({"digest!=sha256:a"}, fields));
  EXPECT_FALSE(Matches({"digest!=sha256:ab"}, fields));
  EXPECT_TRUE(Matches({"digest==a==b"}, {{"digest", "a==b"}}));
  EXPECT_TRUE(Matches({"digest == \"sha256:ab\""}, fields));
  EXPECT_TRUE(Matches({"digest"}, fields));
  EXPECT_FALSE(Matches({"size"}, fields));
  EXPECT_TRUE(Matches({"size!=1"}, fields));
  EXPECT_FALSE(Matches({"size==1"}, fields));
}

TEST(Filter, FindsRegularExpressionsAnywhere) {
  const std::map<std::string, std::string> fields{{"ref", "k8s.io/1/layer-sha256:ab"}};
  EXPECT_TRUE(Matches({"ref~=layer-"}, fields));
  EXPECT_TRUE(Matches({"ref~=/^k8s[.]io\\/1/"}, fields));
  EXPECT_TRUE(Matches({"ref~=|ab$|"}, fields));
  EXPECT_TRUE(Matches({"ref~=\"a[b]$\""}, fields));
  EXPECT_FALSE(Matches({"ref~=^layer"}, fields));
  // As in containerd.
  EXPECT_FALSE(Matches({"ref~=*"}, fields));
  EXPECT_FALSE(Matches({"ref~=\"(\""}, fields));
  EXPECT_FALSE(Matches({"ref~=((((x{100}){100}){100}){100})"}, fields));
}

TEST(Filter, CommaIsAndAListIsOr) {
  const std::map<std::string, std::string> fields{{"a", "1"}, {"b", "2"}};
  EXPECT_TRUE(Matches({"a==1,b==2"}, fields));
  EXPECT_FALSE(Matches({"a==1,b==3"}, fields));
  EXPECT_TRUE(Matches({"a==0", "b==2"}, fields));
  EXPECT_FALSE(Matches({"a==0", "b==0"}, fields));
  EXPECT_TRUE(Matches({"a,b"}, fields));
}

TEST(Filter, WalksPathsWithQuotedParts) {
  EXPECT_TRUE(Matches({"labels.\"a.b/c\"==x"}, {{"labels|a.b/c", "x"}}));
  EXPECT_TRUE(Matches({"labels.\"\\x61\\n\\u00e9\\101\"==x"}, {{"labels|a\n\xc3\xa9"
                                                                "A",
                                                                "x"}}));
}

TEST(Filter, RefusesBadSyntaxWithItsPlace) {
  for (const char* bad :
       {"=",  "a=",    "a==",    "a=b",   "a==b c",     "a==b,",       ",",
        "a.", ".a",    "\"a",    "a~=/x", "a==\"\\q\"", "a==\"\\x1\"", "a<b",
        " ",  "a===b", "a==/b/", "a==.b", "a~=/a\\.b/", "a==\"\\'\"",  "a==\"b\nc\""}) {
    const auto filter = Filter::Parse({bad});
    EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(base::Message(filter.status())), HasSubstr("filters:")) << bad;
  }
}

TEST(Filter, BoundsItsInput) {
  EXPECT_FALSE(Filter::Parse({std::string(1 << 20, 'a')}).ok());
  EXPECT_FALSE(Filter::Parse(std::vector<std::string>(1000, "a")).ok());
}

}  // namespace
}  // namespace eagle::plugin
