#include "tracker/query.h"

#include <gtest/gtest.h>

namespace eagle::tracker {
namespace {

std::string Join(std::string_view query) {
  const auto parameters = ParseQuery(query);
  if (!parameters.ok()) return "error";
  std::string out;
  for (const QueryParameter& parameter : *parameters) {
    out += "[" + parameter.key + "=" + parameter.value + "]";
  }
  return out;
}

TEST(Query, SplitsAndDecodes) {
  EXPECT_EQ(Join("a=1&b=%41%7e%7E"), "[a=1][b=A~~]");
  EXPECT_EQ(Join("a=1=2"), "[a=1=2]");
  EXPECT_EQ(Join("x%3Dy=z"), "[x=y=z]");
  EXPECT_EQ(Join("a=b+c%2B"), "[a=b c+]");
}

TEST(Query, TakesEveryByte) {
  const auto parameters = ParseQuery("h=%00%ff%26%3d");
  ASSERT_TRUE(parameters.ok());
  EXPECT_EQ(parameters->at(0).value, std::string("\0\xff&=", 4));
}

TEST(Query, ToleratesEmptyParts) {
  EXPECT_EQ(Join(""), "");
  EXPECT_EQ(Join("&&a&=b&c=&"), "[a=][=b][c=]");
}

TEST(Query, RefusesABrokenPercent) {
  for (const char* query : {"a=%", "a=%4", "a=%zz", "%g1=b", "a=%4&b=1", "a=1&b=%-1"}) {
    EXPECT_EQ(Join(query), "error") << query;
  }
}

TEST(Query, HasABoundOfParameters) {
  std::string query;
  for (int i = 0; i < 512; ++i) query += "a=1&";
  EXPECT_TRUE(ParseQuery(query).ok());
  EXPECT_FALSE(ParseQuery(query + "a=1").ok());
}

}  // namespace
}  // namespace eagle::tracker
