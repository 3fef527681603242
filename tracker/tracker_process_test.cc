// Starts the real program, as an operator does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <string>

#include "lib/base/file.h"
#include "lib/testing/program.h"
#include "lib/testing/temp_dir.h"

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;
namespace asio = boost::asio;

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
  testing::Program program(
      "eagle-tracker",
      {"--config", Config("listen: 127.0.0.1:0\nmetrics: {listen: '127.0.0.1:0'}\n")});
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
  testing::Program good("eagle-tracker", {"--check-config", "--config",
                                          EAGLE_SOURCE_DIR "/tracker/config.example.yaml"});
  EXPECT_EQ(good.Wait(), 0) << good.output();
  testing::Program bad("eagle-tracker", {"--check-config", "--config", Config("threads: many\n")});
  EXPECT_EQ(bad.Wait(), 2);
  EXPECT_THAT(bad.output(), HasSubstr("tracker.yaml:1:10: threads"));
}

TEST_F(TrackerProcessTest, ATakenPortIsAClearEnd) {
  asio::io_context io;
  const asio::ip::tcp::acceptor taken(io, {asio::ip::address_v4::loopback(), 0});
  const std::string port = std::to_string(taken.local_endpoint().port());
  testing::Program program(
      "eagle-tracker",
      {"--config", Config("listen: 127.0.0.1:" + port + "\nmetrics: {listen: '127.0.0.1:0'}\n")});
  EXPECT_EQ(program.Wait(), 1);
  EXPECT_THAT(program.output(), HasSubstr("start_failed"));
  EXPECT_THAT(program.output(), HasSubstr(port));
}

}  // namespace
}  // namespace eagle::tracker
