// Starts the real program, as an operator does.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/unique_fd.h"
#include "sidecar/sidecar_cluster.h"

extern char** environ;

namespace eagle::sidecar {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;

/// A child process; killed at the end when it still runs.
class Program {
 public:
  Program(std::vector<std::string> arguments, const std::string& output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int fd : {1, 2}) {
      posix_spawn_file_actions_addopen(&actions, fd, output.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                       0600);
    }
    arguments.insert(arguments.begin(), EAGLE_BIN_DIR "/eagle-sidecar");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ > 0) (void)End(SIGKILL);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Its exit code; -1 when a signal ended it.
  int End(int signal = 0) {
    if (signal != 0) ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
};

class SidecarProcess : public ::testing::Test {
 protected:
  std::string WriteConfig(const std::string& seeder, const std::string& download_limit) {
    // Free a moment ago, on an address that no other test has.
    boost::asio::io_context io;
    const boost::asio::ip::tcp::acceptor probe(io,
                                               {boost::asio::ip::make_address("127.0.0.31"), 0});
    const std::string path = dir_.path() + "/sidecar.yaml";
    const std::string text =
        "listen: " + socket_ + "\ncache_dir: " + dir_.path() + "/cache\nseeders: [\"" + seeder +
        "\"]\ntrackers: []\n"
        "bittorrent: {listen_address: 127.0.0.31, port: " +
        std::to_string(probe.local_endpoint().port()) + ", download_limit: " + download_limit +
        "}\ncache: {limit: 1GiB, min_free: 0%}\nmetrics: {listen: \"127.0.0.31:0\"}\n";
    EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
    return path;
  }
  [[nodiscard]] std::string Output() const { return base::ReadFile(output_).value_or(""); }

  testing::TempDir dir_;
  const std::string socket_ = "unix:" + dir_.path() + "/node.sock";
  const std::string output_ = dir_.path() + "/output";
};

TEST_F(SidecarProcess, AfterKillNineADownloadGoesOnFromWhereItWas) {
  TestSeeder seeder("127.0.0.30");
  const TestLayer layer = RandomLayer(32 * kMiB, 11);
  seeder.Add(layer);
  {
    Program program({"--config", WriteConfig(seeder.target(), "4MiB/s")}, output_);
    (void)NodeClient(socket_).Fetch(layer.wanted, [&](const node::v1::FetchEvent& event) {
      return event.progress().bytes_done() >= 18 * kMiB;
    });
    EXPECT_EQ(program.End(SIGKILL), -1);
  }
  const std::int64_t before = seeder.session->Totals().payload_uploaded_bytes;
  ASSERT_GE(before, 18 * kMiB);

  Program program({"--config", WriteConfig(seeder.target(), "unlimited")}, output_);
  const auto result = NodeClient(socket_).Fetch(layer.wanted);
  ASSERT_TRUE(result.done()) << result.Explain() << Output();
  EXPECT_EQ(Contents(dir_.path() + "/cache/blobs/" + layer.digest.hex()), layer.data);
  // What was resumed is a second or two old. (Some that was on its way counts as sent.)
  EXPECT_LT(seeder.session->Totals().payload_uploaded_bytes - before, 26 * kMiB);
  EXPECT_EQ(program.End(SIGTERM), 0);
}

TEST_F(SidecarProcess, SigtermEndsItInTimeAndLosesNothing) {
  TestSeeder seeder("127.0.0.30");
  const TestLayer layer = RandomLayer(16 * kMiB, 12);
  seeder.Add(layer);
  {
    Program program({"--config", WriteConfig(seeder.target(), "8MiB/s")}, output_);
    (void)NodeClient(socket_).Fetch(layer.wanted, [&](const node::v1::FetchEvent& event) {
      return event.progress().bytes_done() >= 11 * kMiB;
    });
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(program.End(SIGTERM), 0) << Output();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  }
  Program program({"--config", WriteConfig(seeder.target(), "unlimited")}, output_);
  const auto result = NodeClient(socket_).Fetch(layer.wanted);
  ASSERT_TRUE(result.done()) << result.Explain() << Output();
  EXPECT_EQ(Contents(dir_.path() + "/cache/blobs/" + layer.digest.hex()), layer.data);
  // Over both runs: what had come of pieces that were not whole, about a second's worth, comes
  // again. Without resuming it would be 27 MiB.
  EXPECT_GE(result.last().done().bytes_from_seeders(), 16 * kMiB);
  EXPECT_LT(result.last().done().bytes_from_seeders(), 25 * kMiB);
}

TEST_F(SidecarProcess, ABadConfigurationIsNamedLineByLine) {
  const std::string path = dir_.path() + "/bad.yaml";
  ASSERT_TRUE(base::WriteFileAtomic(path, "listen: 7\nsomething: else\n").ok());
  EXPECT_EQ(Program({"--config", path}, output_).End(), 2);
  EXPECT_THAT(Output(), HasSubstr("bad.yaml:1:"));
  EXPECT_THAT(Output(), HasSubstr("bad.yaml:2:"));
  EXPECT_THAT(Output(), HasSubstr("seeders"));
}

TEST_F(SidecarProcess, ChecksAConfigurationAndSaysItsVersion) {
  const std::string path = WriteConfig("127.0.0.1:9", "unlimited");
  EXPECT_EQ(Program({"--config", path, "--check-config"}, output_).End(), 0);
  EXPECT_EQ(Program({"--version"}, output_).End(), 0);
  EXPECT_THAT(Output(), HasSubstr("eagle-sidecar "));
}

TEST_F(SidecarProcess, ATakenPortEndsItWithAnError) {
  const std::string path = WriteConfig("127.0.0.1:9", "unlimited");
  const std::string text = base::ReadFile(path).value();
  const std::string after = text.substr(text.find("port: ") + 6);
  boost::asio::io_context io;
  const boost::asio::ip::tcp::acceptor taken(io, {boost::asio::ip::make_address("127.0.0.31"),
                                                  static_cast<std::uint16_t>(std::stoi(after))});
  EXPECT_EQ(Program({"--config", path}, output_).End(), 1);
  EXPECT_THAT(Output(), HasSubstr("free the port"));
}

}  // namespace
}  // namespace eagle::sidecar
