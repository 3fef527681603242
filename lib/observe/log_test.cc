#include "lib/observe/log.h"

#include <gtest/gtest.h>

namespace eagle::observe {
namespace {

TEST(Log, QuotesOnlyWhatNeedsIt) {
  std::string line;
  AppendField(&line, "a", "plain/value:1");
  AppendField(&line, "b", "two words");
  AppendField(&line, "c", "say \"hi\"\n");
  AppendField(&line, "d", "");
  EXPECT_EQ(line, R"( a=plain/value:1 b="two words" c="say \"hi\"\n" d="")");
}

TEST(Log, OneEventIsOneLineWhateverThePeerSent) {
  std::string line;
  AppendField(&line, "error", std::string("x\r\n2026-01-01 fake\x1b[2J\0y", 24));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(Log, LevelNames) {
  EXPECT_EQ(*ParseLevel("warn"), Level::kWarn);
  EXPECT_FALSE(ParseLevel("verbose").ok());
}

}  // namespace
}  // namespace eagle::observe
