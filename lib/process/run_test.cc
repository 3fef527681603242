#include "lib/process/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "lib/base/unique_fd.h"
#include "lib/testing/temp_dir.h"

namespace eagle::process {
namespace {

using ::testing::StartsWith;

// Refuses every reload.
class FakeApp final : public App {
 public:
  explicit FakeApp(bool alive) : alive_(alive) {}
  absl::Status Reload() override { return absl::InvalidArgumentError("a bad file"); }
  absl::Status CheckAlive(std::chrono::milliseconds patience) override {
    if (patience.count() <= 0) return absl::InternalError("no time to find out");
    return alive_ ? absl::OkStatus() : absl::DeadlineExceededError("hung");
  }

 private:
  const bool alive_;
};

// A service manager's end of NOTIFY_SOCKET, and a program under it.
class Managed : public ::testing::Test {
 protected:
  Managed() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Managed() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  void Start(bool alive, const char* watchdog_usec) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    if (watchdog_usec != nullptr) ::setenv("WATCHDOG_USEC", watchdog_usec, 1);
    std::string name = "test";
    std::string flag = "--config=none";
    char* argv[] = {name.data(), flag.data(), nullptr};
    ::_exit(process::Run(2, argv,
                         {.name = "test",
                          .description = "",
                          .load = [](const std::string&) { return absl::OkStatus(); },
                          .start = [alive]() -> absl::StatusOr<std::unique_ptr<App>> {
                            return std::make_unique<FakeApp>(alive);
                          }}));
  }
  // "" when nothing comes within `patience`.
  std::string Receive(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return "";
    char buffer[256];
    const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    return {buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }
  int Stop() {
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.path() + "/notify";
  base::UniqueFd socket_;
  pid_t pid_ = -1;
};

TEST_F(Managed, FeedsTheWatchdogWhileItLives) {
  Start(/*alive=*/true, "60000");
  EXPECT_EQ(Receive(), "READY=1");
  EXPECT_EQ(Receive(), "WATCHDOG=1");
  EXPECT_EQ(Receive(), "WATCHDOG=1");
  EXPECT_EQ(Stop(), 0);
}

TEST_F(Managed, LetsTheWatchdogEndWhatDoesNotAnswer) {
  Start(/*alive=*/false, "60000");
  EXPECT_EQ(Receive(), "READY=1");
  // Five of the periods in which it would have been fed.
  EXPECT_EQ(Receive(std::chrono::milliseconds(100)), "");
  EXPECT_EQ(Stop(), 0);
}

TEST_F(Managed, WithoutAWatchdogNothingIsSent) {
  Start(/*alive=*/true, nullptr);
  EXPECT_EQ(Receive(), "READY=1");
  EXPECT_EQ(Receive(std::chrono::milliseconds(50)), "");
  EXPECT_EQ(Stop(), 0);
}

TEST_F(Managed, ARefusedReloadLeavesItRunning) {
  Start(/*alive=*/true, nullptr);
  EXPECT_EQ(Receive(), "READY=1");
  ::kill(pid_, SIGHUP);
  EXPECT_THAT(Receive(), StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_EQ(Receive(), "READY=1");
  EXPECT_EQ(Stop(), 0);
}

}  // namespace
}  // namespace eagle::process
