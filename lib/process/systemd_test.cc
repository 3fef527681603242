#include "lib/process/systemd.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>

#include "lib/testing/temp_dir.h"

namespace eagle::process {
namespace {

TEST(Systemd, NotifyReachesTheSocketOfTheEnvironment) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/notify";
  const base::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  NotifySystemd("READY=1");
  ::unsetenv("NOTIFY_SOCKET");
  char buffer[64];
  EXPECT_EQ(::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT), 7);
  EXPECT_EQ(std::string(buffer, 7), "READY=1");
}

TEST(Systemd, NoSocketsWhenTheyAreMeantForAnotherProcess) {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "1", 1);
  EXPECT_TRUE(TakeListenFds().empty());
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
}

}  // namespace
}  // namespace eagle::process
