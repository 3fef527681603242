#include "tracker/tracker_app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "tracker/bencode_decode.h"

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace asio = boost::asio;

// The whole response to one request on a connection of its own.
std::string Get(const std::string& address, std::uint16_t port, const std::string& target) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::make_address(address), port});
  asio::write(socket,
              asio::buffer("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  std::string response;
  boost::system::error_code error;
  asio::read(socket, asio::dynamic_buffer(response), error);
  return response;
}

TrackerConfig MakeConfig() {
  TrackerConfig config;
  config.listen = "[::]:0";
  config.metrics_listen = "127.0.0.1:0";
  config.trusted_cidrs = {"::1"};
  return config;
}

class TrackerAppTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto app = TrackerApp::Start(MakeConfig());
    ASSERT_TRUE(app.ok()) << app.status();
    app_ = std::move(*app);
  }

  BencodeValue Announce(char id, const std::string& address, const std::string& more = "") {
    const std::string response =
        Get(address, app_->port(),
            "/announce?info_hash=%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f%10%11%12%13"
            "&peer_id=" +
                std::string(20, id) + "&port=1000&left=1" + more);
    EXPECT_THAT(response, StartsWith("HTTP/1.1 200 "));
    return BencodeDecoder::Decode(response.substr(response.find("\r\n\r\n") + 4)).value();
  }

  std::unique_ptr<TrackerApp> app_;
};

TEST_F(TrackerAppTest, IntroducesPeersOfBothFamilies) {
  Announce('a', "127.0.0.1");
  Announce('b', "::1");
  Announce('c', "::1", "&ip=10.0.0.3");
  const BencodeValue reply = Announce('z', "127.0.0.1", "&port=1");
  EXPECT_TRUE(reply.Has("failure reason"));
  const BencodeValue last = Announce('d', "::1", "&ip=fd00::4");
  EXPECT_EQ(last["incomplete"].integer, 4);
  EXPECT_EQ(last["peers"].string->size(), 12U);
  EXPECT_EQ(last["peers6"].string, std::string(15, '\0') + std::string("\x01\x03\xe8", 3));
}

TEST_F(TrackerAppTest, OperatorsSeeItsState) {
  Announce('a', "127.0.0.1", "&event=started");
  EXPECT_THAT(Get("127.0.0.1", app_->metrics_port(), "/healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("127.0.0.1", app_->metrics_port(), "/readyz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("127.0.0.1", app_->metrics_port(), "/metrics"),
              HasSubstr("eagle_tracker_peers{role=\"leech\"} 1"));
}

TEST_F(TrackerAppTest, ATakenPortIsAnError) {
  TrackerConfig config = MakeConfig();
  config.listen = "[::]:" + std::to_string(app_->port());
  EXPECT_EQ(TrackerApp::Start(config).status().code(), absl::StatusCode::kUnavailable);
  config = MakeConfig();
  config.metrics_listen = "127.0.0.1:" + std::to_string(app_->metrics_port());
  EXPECT_EQ(TrackerApp::Start(config).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace eagle::tracker
