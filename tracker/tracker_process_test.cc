// Starts the real program, as an operator does.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/unique_fd.h"
#include "lib/testing/temp_dir.h"

extern char** environ;

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;
namespace asio = boost::asio;

constexpr std::chrono::seconds kPatience{30};

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
    arguments.insert(arguments.begin(), EAGLE_BIN_DIR "/eagle-tracker");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Reads on until `text` has come, the output ends or patience does.
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

std::string Get(std::uint16_t port, const std::string& target) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  asio::write(socket,
              asio::buffer("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  std::string response;
  boost::system::error_code error;
  asio::read(socket, asio::dynamic_buffer(response), error);
  return response;
}

class TrackerProcessTest : public ::testing::Test {
 protected:
  std::string Config(const std::string& text) {
    const std::string path = dir_.path() + "/tracker.yaml";
    EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
    return path;
  }

  testing::TempDir dir_;
};

TEST_F(TrackerProcessTest, ServesUntilSigtermAndEndsWithZero) {
  Program program({"--config", Config("listen: 127.0.0.1:0\nmetrics: {listen: '127.0.0.1:0'}\n")});
  const std::string log = program.ReadUntil("started");
  ASSERT_THAT(log, HasSubstr(" port="));
  const auto port = static_cast<std::uint16_t>(std::stoi(log.substr(log.find(" port=") + 6)));
  EXPECT_THAT(Get(port,
                  "/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1"
                  "&left=0&event=started"),
              HasSubstr("d8:completei1e10:incompletei0e8:intervali5e12:min intervali5e5:peers0:e"));
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0) << program.output();
  EXPECT_THAT(program.output(), HasSubstr("stopped"));
}

TEST_F(TrackerProcessTest, ChecksAConfigurationWithoutStarting) {
  Program good({"--check-config", "--config", EAGLE_SOURCE_DIR "/tracker/config.example.yaml"});
  EXPECT_EQ(good.Wait(), 0) << good.output();
  Program bad({"--check-config", "--config", Config("threads: many\n")});
  EXPECT_EQ(bad.Wait(), 2);
  EXPECT_THAT(bad.output(), HasSubstr("tracker.yaml:1:10: threads"));
}

TEST_F(TrackerProcessTest, ATakenPortIsAClearEnd) {
  asio::io_context io;
  const asio::ip::tcp::acceptor taken(io, {asio::ip::address_v4::loopback(), 0});
  const std::string port = std::to_string(taken.local_endpoint().port());
  Program program(
      {"--config", Config("listen: 127.0.0.1:" + port + "\nmetrics: {listen: '127.0.0.1:0'}\n")});
  EXPECT_EQ(program.Wait(), 1);
  EXPECT_THAT(program.output(), HasSubstr("start_failed"));
  EXPECT_THAT(program.output(), HasSubstr(port));
}

}  // namespace
}  // namespace eagle::tracker
