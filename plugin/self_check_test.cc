#include "plugin/self_check.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "lib/base/unique_fd.h"
#include "lib/testing/temp_dir.h"

namespace eagle::plugin {
namespace {

TEST(SelfCheck, ASocketThatNobodyAcceptsOnIsAHang) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/socket";
  const base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd.get(), 8), 0);
  EXPECT_EQ(BoundPath(fd.get()), path);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(CallOwnSocket(path, std::chrono::milliseconds(100)).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(SelfCheck, ASocketThatIsGoneIsNothingARestartWouldMend) {
  testing::TempDir dir;
  EXPECT_TRUE(CallOwnSocket(dir.path() + "/socket", std::chrono::milliseconds(100)).ok());
}

}  // namespace
}  // namespace eagle::plugin
