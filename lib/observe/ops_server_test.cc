#include "lib/observe/ops_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace eagle::observe {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Ask(std::uint16_t port, const std::string& request) {
  boost::asio::io_context io;
  boost::asio::ip::tcp::socket socket(io);
  socket.connect({boost::asio::ip::address_v4::loopback(), port});
  boost::asio::write(socket, boost::asio::buffer(request));
  std::string answer;
  boost::system::error_code error;
  boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
  return answer;
}

std::string Get(std::uint16_t port, const std::string& path) {
  return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

TEST(OpsServer, AnswersOperators) {
  MetricsRegistry metrics;
  metrics.AddCounter("eagle_test_total", "T.").Add(4);
  std::atomic<bool> ready{false};
  auto server = OpsServer::Start({.listen = "127.0.0.1:0"}, metrics,
                                 [&] { return ready ? "" : "cache is loading"; });
  ASSERT_TRUE(server.ok()) << server.status();
  const std::uint16_t port = (*server)->port();
  EXPECT_THAT(Get(port, "/metrics"), HasSubstr("eagle_test_total 4\n"));
  EXPECT_THAT(Get(port, "/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get(port, "/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("cache is loading"));
  ready = true;
  EXPECT_THAT(Get(port, "/readyz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get(port, "/etc/passwd"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask(port, "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
}

TEST(OpsServer, SurvivesGarbage) {
  MetricsRegistry metrics;
  auto server = OpsServer::Start({.listen = "127.0.0.1:0"}, metrics, [] { return ""; });
  ASSERT_TRUE(server.ok());
  Ask((*server)->port(), std::string(100'000, 'x') + "\r\n\r\n");
  EXPECT_THAT(Get((*server)->port(), "/healthz"), StartsWith("HTTP/1.1 200"));
}

TEST(OpsServer, ATakenPortIsAnErrorThatNamesTheSetting) {
  MetricsRegistry metrics;
  auto first = OpsServer::Start({.listen = "127.0.0.1:0"}, metrics, [] { return ""; });
  ASSERT_TRUE(first.ok());
  auto second = OpsServer::Start({.listen = "127.0.0.1:" + std::to_string((*first)->port())},
                                 metrics, [] { return ""; });
  EXPECT_THAT(std::string(base::Message(second.status())), HasSubstr("metrics.listen"));
}

TEST(OpsServer, NoAddressNoEndpoint) {
  MetricsRegistry metrics;
  auto server = OpsServer::Start({}, metrics, [] { return ""; });
  ASSERT_TRUE(server.ok());
  EXPECT_EQ((*server)->port(), 0);
}

}  // namespace
}  // namespace eagle::observe
