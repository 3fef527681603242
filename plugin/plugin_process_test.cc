#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "api/plugin/plugin.grpc.pb.h"
#include "lib/base/file.h"
#include "lib/base/unique_fd.h"
#include "lib/rpc/channel.h"
#include "lib/testing/temp_dir.h"
#include "plugin/testing/content_client.h"
#include "plugin/testing/plugin_process.h"

// The real binary.
namespace eagle::plugin {
namespace {

using testing::ContentClient;
using ::testing::HasSubstr;
using testing::Process;
using testing::WriteConfig;

class PluginProcess : public ::testing::Test {
 protected:
  PluginProcess() { WriteConfig(dir_.path(), dir_.path()); }

  [[nodiscard]] std::unique_ptr<Process> Start(const std::function<void()>& prepare = {}) const {
    return std::make_unique<Process>(
        std::vector<std::string>{"--config", dir_.path() + "/plugin.yaml"}, prepare);
  }
  [[nodiscard]] std::string address() const { return "unix:" + dir_.path() + "/plugin.sock"; }

  eagle::testing::TempDir dir_;
};

TEST_F(PluginProcess, ChecksItsConfiguration) {
  EXPECT_EQ(Process({"--check-config", "--config", dir_.path() + "/plugin.yaml"}).Wait(), 0);
  std::ofstream(dir_.path() + "/plugin.yaml") << "listen: here\n";
  EXPECT_EQ(Process({"--check-config", "--config", dir_.path() + "/plugin.yaml"}).Wait(), 2);
}

#ifdef EAGLE_PLUGIN_IS_STATIC
TEST_F(PluginProcess, StartsInAnEmptyRoot) {
  ASSERT_EQ(::geteuid(), 0U) << "this test needs root for chroot(2)";
  eagle::testing::TempDir empty;
  Process process({"--version"}, [&] {
    if (::chroot(empty.path().c_str()) != 0 || ::chdir("/") != 0) ::_exit(126);
  });
  EXPECT_THAT(process.Output(), HasSubstr("eagle-plugin "));
  EXPECT_EQ(process.Wait(), 0);
}

TEST_F(PluginProcess, ServesInAnEmptyRoot) {
  ASSERT_EQ(::geteuid(), 0U) << "this test needs root for chroot(2)";
  eagle::testing::TempDir empty;
  WriteConfig(empty.path(), "");
  Process process({"--config", "/plugin.yaml"}, [&] {
    if (::chroot(empty.path().c_str()) != 0 || ::chdir("/") != 0) ::_exit(126);
  });
  ContentClient client("unix:" + empty.path() + "/plugin.sock");
  EXPECT_TRUE(client.Put("a/1/b", "content").ok());
  grpc::Status status;
  EXPECT_EQ(client.Read(base::Digest::Of("content").str(), 0, 0, &status), "content");
  EXPECT_EQ(process.Signal(SIGTERM), 0);
}
#endif

TEST_F(PluginProcess, StopsInOrderWithStreamsOpen) {
  auto process = Start();
  ContentClient client(address());
  auto write = client.OpenWrite("a/1/b");
  ASSERT_TRUE(write->Stat().has_value());
  EXPECT_EQ(process->Signal(SIGTERM), 0);
}

TEST_F(PluginProcess, KeepsWhatIsCommittedAndResumesTheRestAfterKill9) {
  std::string content;
  for (int i = 0; content.size() < (6U << 20); ++i) content += std::to_string(i);
  const auto size = static_cast<std::int64_t>(content.size());
  auto process = Start();
  {
    ContentClient client(address());
    ASSERT_TRUE(client.Put("a/1/config", "committed").ok());
    auto write = client.OpenWrite("a/2/blob");
    ASSERT_TRUE(write->Stat(size).has_value());
    ASSERT_TRUE(write->Write(0, content.substr(0, 1 << 20)).has_value());
    // The next one may or may not have been taken when it dies.
    write->SendWrite(1 << 20, content.substr(1 << 20, 1 << 20));
    EXPECT_EQ(process->Signal(SIGKILL), 128 + SIGKILL);
  }
  process = Start();
  ContentClient client(address());
  grpc::Status status;
  EXPECT_EQ(client.Read(base::Digest::Of("committed").str(), 0, 0, &status), "committed");
  EXPECT_FALSE(client.Has(base::Digest::Of(content)));
  auto write = client.OpenWrite("a/2/blob");
  const auto first = write->Stat(size);
  ASSERT_TRUE(first.has_value());
  EXPECT_GE(first->offset(), 1 << 20);
  ASSERT_TRUE(
      write->Write(first->offset(), content.substr(static_cast<std::size_t>(first->offset())))
          .has_value());
  EXPECT_TRUE(write->Commit(size, size, base::Digest::Of(content).str()).has_value());
  EXPECT_EQ(client.Read(base::Digest::Of(content).str(), 0, 0, &status), content);
}

base::UniqueFd BindUnix(const std::string& path, int type) {
  base::UniqueFd fd(::socket(AF_UNIX, type, 0));
  sockaddr_un socket_address{};
  socket_address.sun_family = AF_UNIX;
  std::memcpy(socket_address.sun_path, path.data(), path.size());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&socket_address), sizeof socket_address),
            0);
  return fd;
}

std::string Receive(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, 20'000) <= 0) return "nothing";
  char buffer[256];
  return {buffer, static_cast<std::size_t>(std::max<ssize_t>(::recv(fd, buffer, 256, 0), 0))};
}

TEST_F(PluginProcess, UnderAServiceManagerItReloadsOnSighupAndFeedsTheWatchdog) {
  const base::UniqueFd notify = BindUnix(dir_.path() + "/notify", SOCK_DGRAM);
  auto process = Start([&] {
    ::setenv("NOTIFY_SOCKET", (dir_.path() + "/notify").c_str(), 1);
    ::setenv("WATCHDOG_USEC", "600000", 1);
  });
  EXPECT_EQ(Receive(notify.get()), "READY=1");
  EXPECT_EQ(Receive(notify.get()), "WATCHDOG=1");
  std::ofstream(dir_.path() + "/plugin.yaml", std::ios::app) << "p2p: {min_size: 7MiB}\n";
  process->Send(SIGHUP);
  std::string message = Receive(notify.get());
  while (message == "WATCHDOG=1") message = Receive(notify.get());
  EXPECT_THAT(message, HasSubstr("RELOADING=1"));
  EXPECT_EQ(Receive(notify.get()), "READY=1");
  const auto admin = v1::Admin::NewStub(rpc::MakeChannel(address()));
  grpc::ClientContext context;
  v1::GetStatusReply reply;
  ASSERT_TRUE(admin->GetStatus(&context, {}, &reply).ok());
  EXPECT_EQ(reply.p2p().min_size(), "7MiB");
  EXPECT_EQ(reply.config_path(), dir_.path() + "/plugin.yaml");
  EXPECT_EQ(process->Signal(SIGTERM), 0);
}

TEST_F(PluginProcess, ServesOnTheSocketOfTheServiceManager) {
  const std::string path = dir_.path() + "/activated.sock";
  const base::UniqueFd fd = BindUnix(path, SOCK_STREAM);
  ASSERT_EQ(::listen(fd.get(), 8), 0);
  const auto activate = [&] {
    ::dup2(fd.get(), 3);
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  };
  auto process = Start(activate);
  ContentClient client("unix:" + path);
  EXPECT_TRUE(client.Put("a/1/b", "content").ok());
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/plugin.sock"));
  // Between two lives of the plugin the socket queues callers instead of refusing them.
  EXPECT_EQ(process->Signal(SIGKILL), 128 + SIGKILL);
  process = Start(activate);
  EXPECT_TRUE(ContentClient("unix:" + path).Has(base::Digest::Of("content")));
}

}  // namespace
}  // namespace eagle::plugin
