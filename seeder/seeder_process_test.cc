// Starts the real program, as an operator does.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/testing/own_network.h"
#include "lib/testing/temp_dir.h"

extern char** environ;

namespace eagle::seeder {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

// A child process whose output is read; killed at the end when it still runs.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
    output_.Reset(fds[0]);
    const base::UniqueFd write_end(fds[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    arguments.insert(arguments.begin(), EAGLE_BIN_DIR "/eagle-seeder");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // What it wrote, read until `text` has come, the output ends or patience does.
  const std::string& ReadUntil(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (text.empty() || read_.find(text) == std::string::npos) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd waiting{.fd = output_.get(), .events = POLLIN, .revents = 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) break;
      char buffer[4096];
      const ssize_t size = ::read(output_.get(), buffer, sizeof buffer);
      if (size <= 0) break;
      read_.append(buffer, static_cast<std::size_t>(size));
    }
    return read_;
  }

  void Signal(int signal) const { ::kill(pid_, signal); }

  // Its exit code, after its output has ended; -1 when a signal ended it.
  int Wait() {
    ReadUntil("");
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  [[nodiscard]] const std::string& output() const { return read_; }

 private:
  pid_t pid_ = -1;
  base::UniqueFd output_;
  std::string read_;
};

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
  Program program({"--config", config});
  EXPECT_THAT(program.ReadUntil(" started "), HasSubstr(" started "));
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0) << program.output();
  EXPECT_THAT(program.output(), HasSubstr(" stopped "));
}

TEST_F(SeederProcessTest, ABadConfigurationIsExplained) {
  Program program({"--config", Write("trackers: []\nlisten: nowhere\ntypo: 1\n")});
  EXPECT_EQ(program.Wait(), 2);
  EXPECT_THAT(program.output(), HasSubstr("config.yaml:1:11: trackers: give the announce URL"));
  EXPECT_THAT(program.output(), HasSubstr("listen:"));
  EXPECT_THAT(program.output(), HasSubstr("typo: unknown key"));
}

TEST_F(SeederProcessTest, ChecksTheExampleAndTellsItsVersion) {
  Program check({"--check-config", "--config", EAGLE_SOURCE_DIR "/seeder/config.example.yaml"});
  EXPECT_EQ(check.Wait(), 0) << check.output();
  Program version({"--version"});
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
