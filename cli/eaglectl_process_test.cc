#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/run_program.h"
#include "cli/scratch_host.h"
#include "lib/base/digest.h"
#include "lib/testing/program.h"

// The real binaries: eaglectl, and eagle-plugin for it to talk to.
namespace eagle::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Program;

class Eaglectl : public ::testing::Test {
 protected:
  ProgramOutput Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), EAGLE_BIN_DIR "/eaglectl");
    auto output = RunProgram(arguments, "/", std::chrono::seconds(60));
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? *output : ProgramOutput();
  }
  // Against the plugin of StartPlugin().
  ProgramOutput Ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--socket", socket_});
    return Run(std::move(arguments));
  }
  void WriteConfig(const std::string& rest = "") {
    host_.Write("/plugin.yaml",
                fmt::format("listen: unix:{0}/plugin.sock\ncontainerd_address: unix:{0}/c.sock\n"
                            "root: {0}/content\ncache_dir: {0}/cache\nstate_dir: {0}/state\n"
                            "sidecar_address: unix:{0}/sidecar.sock\n"
                            "metrics: {{listen: ''}}\n{1}",
                            host_.root(), rest));
  }
  void StartPlugin() {
    plugin_ = std::make_unique<Program>(
        "eagle-plugin", std::vector<std::string>{"--config", host_.At("/plugin.yaml")});
    ASSERT_THAT(plugin_->ReadUntil("started"), HasSubstr("started"));
  }

  ScratchHost host_;
  const std::string socket_ = host_.At("/plugin.sock");
  std::unique_ptr<Program> plugin_;
};

#ifdef EAGLE_CTL_IS_STATIC
TEST_F(Eaglectl, RunsInAnEmptyRoot) {
  ASSERT_EQ(::geteuid(), 0U) << "this test needs root for chroot(2)";
  std::filesystem::copy_file(EAGLE_BIN_DIR "/eaglectl", host_.At("/eaglectl"));
  const auto version = RunProgram({"/eaglectl", "--version"}, host_.root());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_THAT(version->out, HasSubstr("eaglectl "));
  const auto doctor = RunProgram({"/eaglectl", "doctor", "-o", "json"}, host_.root());
  ASSERT_TRUE(doctor.ok());
  EXPECT_EQ(doctor->exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(doctor->out)["verdict"], "WARN");
  // Resolving a name without the host's libraries.
  host_.Write("/etc/hosts", "127.0.0.1 seeder.test\n");
  host_.Write("/etc/eagle/sidecar.yaml",
              "seeders: ['seeder.test:1', 'nobody.invalid:1']\ntrackers: ['udp://t:1/announce']\n");
  const auto peers = RunProgram({"/eaglectl", "doctor"}, host_.root(), std::chrono::seconds(30));
  ASSERT_TRUE(peers.ok());
  EXPECT_THAT(peers->out, AllOf(HasSubstr("seeder.test:1: connect: Connection refused"),
                                HasSubstr("nobody.invalid: the name has no address")));
}
#endif

TEST_F(Eaglectl, SwitchesP2pAndTheSwitchHoldsOverARestart) {
  WriteConfig();
  StartPlugin();
  const ProgramOutput off = Ask({"p2p", "off", "--reason", "incident 7"});
  EXPECT_EQ(off.exit_code, 0) << off.error;
  EXPECT_THAT(off.out, AllOf(HasSubstr("p2p: off (switched off "), HasSubstr(": incident 7)"),
                             HasSubstr("0 waiting layers go to the registry")));
  EXPECT_THAT(Ask({"p2p", "off"}).out, HasSubstr("the switch stood there before"));
  plugin_->Signal(SIGKILL);
  plugin_->Wait();
  StartPlugin();
  EXPECT_THAT(Ask({"p2p", "status"}).out, HasSubstr("p2p:             off (switched off"));
  EXPECT_EQ(Ask({"p2p", "on"}).out, "p2p: on\n");
  const ProgramOutput status = Ask({"p2p", "status", "-o", "json"});
  EXPECT_EQ(status.exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(status.out)["p2p"]["enabled"], true);
}

TEST_F(Eaglectl, ReloadTellsWhatChangedAndABadFileChangesNothing) {
  WriteConfig();
  StartPlugin();
  WriteConfig("log_level: warn\np2p: {min_size: 3MiB, allow: ['a/.*']}\n");
  const ProgramOutput good = Ask({"reload"});
  EXPECT_EQ(good.exit_code, 0) << good.error;
  EXPECT_THAT(good.out, AllOf(HasSubstr("p2p.min_size: 1MiB -> 3MiB\n"),
                              HasSubstr("p2p.allow: [] -> [\"a/.*\"]\n"),
                              HasSubstr("log_level: \"info\" -> \"warn\"\n")));
  WriteConfig("p2p: {min_size: 3, deny: ['(']}\n");
  const ProgramOutput bad = Ask({"reload"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.error, AllOf(HasSubstr("plugin.yaml:8:"), HasSubstr("p2p.deny"),
                               HasSubstr("nothing was changed")));
  EXPECT_THAT(Ask({"p2p", "status"}).out, HasSubstr("min_size:        3MiB"));
}

TEST_F(Eaglectl, WithoutAPluginItSaysWhere) {
  const ProgramOutput status = Ask({"p2p", "status"});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.error, HasSubstr(socket_ + ": is not there"));
}

TEST_F(Eaglectl, DoctorSeesARunningPluginAndASocketThatIsOpenToOthers) {
  WriteConfig();
  StartPlugin();
  Ask({"p2p", "off", "--reason", "a test"});
  const std::vector<std::string> doctor{"doctor", "--plugin-config", host_.At("/plugin.yaml")};
  EXPECT_THAT(Run(doctor).out, AllOf(HasSubstr("OK    plugin-socket      " + socket_ + ", plugin"),
                                     HasSubstr("WARN  p2p                switched off since")));
  ::chmod(socket_.c_str(), 0666);
  const ProgramOutput open = Run(doctor);
  EXPECT_EQ(open.exit_code, 2);
  EXPECT_THAT(open.out, HasSubstr("has mode 0666"));
}

TEST_F(Eaglectl, StoreVerifyEndsWith1OnABadBlob) {
  const std::string path = "/blobs/sha256/" + base::Digest::Of("sound").hex();
  host_.Write(path, "sound");
  std::filesystem::create_directories(host_.At("/ingest"));
  const ProgramOutput good = Run({"store", "verify", "--store", host_.root()});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_THAT(good.out, HasSubstr("1 blobs, 5 bytes, 0 bad"));
  host_.Write(path, "soun");
  const ProgramOutput bad =
      Run({"store", "verify", "--rate", "1MiB/s", "-o", "json", "--store", host_.root()});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(bad.out)["bad"][0]["blob"], base::Digest::Of("sound").str());
  const ProgramOutput du = Run({"store", "du", "-o", "json", "--store", host_.root()});
  EXPECT_EQ(nlohmann::json::parse(du.out)["bytes"], 4);
  EXPECT_THAT(Run({"store", "ls", "--store", host_.root()}).out,
              HasSubstr(base::Digest::Of("sound").str()));
}

TEST_F(Eaglectl, AWrongCommandLineEndsWith64) {
  EXPECT_EQ(Run({}).exit_code, 64);
  EXPECT_EQ(Run({"p2p"}).exit_code, 64);
  EXPECT_EQ(Run({"config", "render", "--for", "1.5"}).exit_code, 64);
  EXPECT_EQ(Run({"store", "verify", "--rate", "fast"}).exit_code, 64);
  EXPECT_EQ(Run({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace eagle::cli
