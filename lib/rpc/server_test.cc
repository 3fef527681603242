#include "lib/rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "api/health/health.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"
#include "lib/testing/temp_dir.h"

namespace eagle::rpc {
namespace {

using grpc::health::v1::HealthCheckResponse;

HealthCheckResponse::ServingStatus Check(const std::string& address) {
  auto stub = grpc::health::v1::Health::NewStub(MakeChannel(address));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  context.set_wait_for_ready(true);
  HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.status();
}

TEST(RpcServer, ServesHealthOnUnixAndTcp) {
  testing::TempDir dir;
  const std::string unix_address = "unix:" + dir.path() + "/s";
  auto server = Server::Start({.addresses = {unix_address, "127.0.0.1:0"}, .unix_mode = 0600}, {});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Check(unix_address), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check("127.0.0.1:" + std::to_string((*server)->port())), HealthCheckResponse::SERVING);
  (*server)->SetServing(false);
  EXPECT_EQ(Check(unix_address), HealthCheckResponse::NOT_SERVING);
  struct stat info {};
  ASSERT_EQ(::stat((dir.path() + "/s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(RpcServer, ServesOnAnInheritedSocket) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/s";
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd.get(), 8), 0);
  ServerOptions options;
  options.listen_fds.push_back(std::move(fd));
  auto server = Server::Start(std::move(options), {});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Check("unix:" + path), HealthCheckResponse::SERVING);
}

TEST(RpcServer, AUnixPathThatIsTooLongIsAClearError) {
  ServerOptions options;
  options.addresses = {"unix:/tmp/" + std::string(120, 'x')};
  const auto server = Server::Start(std::move(options), {});
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(base::Message(server.status())),
              ::testing::HasSubstr("choose a shorter one"));
}

TEST(RpcServer, ATakenPortIsAClearError) {
  auto first = Server::Start({.addresses = {"127.0.0.1:0"}}, {});
  ASSERT_TRUE(first.ok());
  auto second = Server::Start({.addresses = {"127.0.0.1:" + std::to_string((*first)->port())}}, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

TEST(RpcStatus, CodesAndMessagesGoBothWays) {
  const absl::Status status = absl::OutOfRangeError("past the end");
  EXPECT_EQ(ToGrpc(status).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus())).ok());
}

}  // namespace
}  // namespace eagle::rpc
