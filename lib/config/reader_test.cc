#include "lib/config/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace eagle::config {
namespace {

using ::testing::HasSubstr;

TEST(ConfigReader, ReadsEveryType) {
  auto document = Document::Parse(
      "name: x\nyes: true\nport: 80\nsize: 2GiB\nrate: 5MiB/s\nwait: 1s\nlist: [a, b]\n"
      "sub: {n: 3}\ntable:\n  one: {v: 1}\n  two: {v: 2}\nrows:\n  - {v: 7}\n",
      "t.yaml");
  ASSERT_TRUE(document.ok());
  std::string name;
  bool yes = false;
  std::uint16_t port = 0;
  base::ByteSize size;
  base::ByteRate rate;
  std::chrono::milliseconds wait{};
  std::vector<std::string> list;
  std::int64_t n = 0;
  std::int64_t sum = 0;
  Section root = document->Root();
  root.String("name", &name);
  root.Bool("yes", &yes);
  root.Port("port", &port);
  root.Size("size", &size);
  root.Rate("rate", &rate);
  root.Duration("wait", &wait);
  root.Strings("list", &list);
  root.Map("sub", [&](Section& sub) { sub.Int("n", &n, 0, 10); });
  root.Table("table", [&](const std::string&, Section& row) {
    std::int64_t v = 0;
    row.Int("v", &v, 0, 10);
    sum += v;
  });
  root.List("rows", [&](Section& row) {
    std::int64_t v = 0;
    row.Int("v", &v, 0, 10);
    sum += v;
  });
  EXPECT_TRUE(document->Finish().ok());
  EXPECT_EQ(name, "x");
  EXPECT_TRUE(yes);
  EXPECT_EQ(port, 80);
  EXPECT_EQ(size, base::GiB(2));
  EXPECT_EQ(rate.bytes_per_second, 5 << 20);
  EXPECT_EQ(wait.count(), 1000);
  EXPECT_EQ(list, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(n, 3);
  EXPECT_EQ(sum, 10);
}

TEST(ConfigReader, LeavesDefaultsOfAbsentKeys) {
  auto document = Document::Parse("", "t.yaml");
  ASSERT_TRUE(document.ok());
  std::string name = "default";
  document->Root().String("name", &name);
  EXPECT_TRUE(document->Finish().ok());
  EXPECT_EQ(name, "default");
}

TEST(ConfigReader, ReportsEveryProblemWithItsPlace) {
  auto document = Document::Parse("port: 99999\nsub:\n  size: big\n  typo: 1\nport: 1\n", "t.yaml");
  ASSERT_TRUE(document.ok());
  std::uint16_t port = 0;
  base::ByteSize size;
  Section root = document->Root();
  root.Port("port", &port);
  root.Map("sub", [&](Section& sub) { sub.Size("size", &size); });
  const absl::Status status = document->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string text(status.message().data(), status.message().size());
  EXPECT_THAT(text, HasSubstr("t.yaml:1:7: port: \"99999\" must be a whole number"));
  EXPECT_THAT(text, HasSubstr("t.yaml:3:9: sub.size: \"big\" is not a size"));
  EXPECT_THAT(text, HasSubstr("t.yaml:4:3: sub.typo: unknown key; known here: size"));
  EXPECT_THAT(text, HasSubstr("t.yaml:5:1: port: is given twice"));
}

TEST(ConfigReader, ReportsSyntaxErrorsWithTheirPlace) {
  const auto document = Document::Parse("a: [1\nb: 2\n", "t.yaml");
  EXPECT_THAT(std::string(base::Message(document.status())), HasSubstr("t.yaml:"));
}

TEST(ConfigReader, RefusesATopLevelThatIsNoMap) {
  EXPECT_FALSE(Document::Parse("- a\n- b\n", "t.yaml").ok());
}

TEST(Config, AMapOfStringsMayHaveAnyNames) {
  auto document = Document::Parse("options: {b: 1, a: two words, c: true}\n", "x.yaml");
  ASSERT_TRUE(document.ok());
  std::map<std::string, std::string> options{{"default", "x"}};
  document->Root().StringMap("options", &options);
  EXPECT_TRUE(document->Finish().ok());
  EXPECT_EQ(options,
            (std::map<std::string, std::string>{{"a", "two words"}, {"b", "1"}, {"c", "true"}}));

  for (const char* bad : {"options: 7\n", "options: {a: [1]}\n", "options: {[1]: a}\n"}) {
    auto broken = Document::Parse(bad, "x.yaml");
    ASSERT_TRUE(broken.ok());
    broken->Root().StringMap("options", &options);
    EXPECT_TRUE(absl::IsInvalidArgument(broken->Finish())) << bad;
  }
}

}  // namespace
}  // namespace eagle::config
