// Starts the real program, as an operator does.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "lib/base/file.h"
#include "lib/testing/own_network.h"
#include "lib/testing/program.h"
#include "lib/testing/temp_dir.h"

namespace eagle::seeder {
namespace {

using ::testing::HasSubstr;

class SeederProcessTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    std::string path = dir_.path() + "/config.yaml";
    EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
    return path;
  }

  testing::TempDir dir_;
};

TEST_F(SeederProcessTest, StartsAndStopsOnSigterm) {
  const std::string config =
      Write(fmt::format("listen: 127.0.0.1:0\ndata_dir: {}/data\n"
                        "trackers: [\"http://127.0.0.1:1/announce\"]\n"
                        "bittorrent: {{listen_address: 127.0.0.1, port: 24000}}\n"
                        "metrics: {{listen: \"127.0.0.1:0\"}}\n",
                        dir_.path()));
  testing::Program program("eagle-seeder", {"--config", config});
  EXPECT_THAT(program.ReadUntil(" started "), HasSubstr(" started "));
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0) << program.output();
  EXPECT_THAT(program.output(), HasSubstr(" stopped "));
}

TEST_F(SeederProcessTest, ABadConfigurationIsExplained) {
  testing::Program program("eagle-seeder",
                           {"--config", Write("trackers: []\nlisten: nowhere\ntypo: 1\n")});
  EXPECT_EQ(program.Wait(), 2);
  EXPECT_THAT(program.output(), HasSubstr("config.yaml:1:11: trackers: give the announce URL"));
  EXPECT_THAT(program.output(), HasSubstr("listen:"));
  EXPECT_THAT(program.output(), HasSubstr("typo: unknown key"));
}

TEST_F(SeederProcessTest, ChecksTheExampleAndTellsItsVersion) {
  testing::Program check("eagle-seeder", {"--check-config", "--config",
                                          EAGLE_SOURCE_DIR "/seeder/config.example.yaml"});
  EXPECT_EQ(check.Wait(), 0) << check.output();
  testing::Program version("eagle-seeder", {"--version"});
  EXPECT_EQ(version.Wait(), 0);
  EXPECT_THAT(version.output(), HasSubstr("eagle-seeder "));
}

}  // namespace
}  // namespace eagle::seeder

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!eagle::testing::EnterOwnNetwork()) {
    std::cerr << "no network namespace here; port 24000 must be free\n";
  }
  return RUN_ALL_TESTS();
}
