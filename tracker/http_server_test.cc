#include "tracker/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::chrono::seconds kPatience{20};

class Client {
 public:
  explicit Client(std::uint16_t port, const std::string& address = "127.0.0.1") : socket_(io_) {
    socket_.connect({asio::ip::make_address(address), port});
  }

  // False when the server has closed already.
  bool Send(const std::string& bytes) {
    boost::system::error_code error;
    asio::write(socket_, asio::buffer(bytes), error);
    return !error;
  }

  // One response with a Content-Length.
  std::string Receive() {
    boost::system::error_code error;
    const std::size_t head =
        asio::read_until(socket_, asio::dynamic_buffer(buffer_), "\r\n\r\n", error);
    if (error) return "closed";
    const std::size_t field = buffer_.find("Content-Length: ");
    const std::size_t size = head + std::stoul(buffer_.substr(field + 16));
    if (buffer_.size() < size) {
      asio::read(socket_, asio::dynamic_buffer(buffer_),
                 asio::transfer_exactly(size - buffer_.size()), error);
    }
    std::string response = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return response;
  }

  // Everything until the server closes; "reset" when it does so by force.
  std::string ReceiveAll() {
    boost::system::error_code error;
    asio::read(socket_, asio::dynamic_buffer(buffer_), error);
    return error == asio::error::eof ? std::exchange(buffer_, {}) : "reset";
  }

 private:
  asio::io_context io_;
  tcp::socket socket_;
  std::string buffer_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(HttpServerOptions options) {
    if (options.threads == 0) options.threads = 2;
    auto server = HttpServer::Start(
        options,
        [](const HttpQuestion& question) {
          return HttpAnswer{.status = question.method == "GET" ? 200U : 405U,
                            .body = std::string(question.target) + " for " + question.client.str()};
        },
        metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
  }

  std::uint16_t port() const { return server_->port(); }

  // Waits for a line of the metrics.
  bool Shows(const std::string& line) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      if (registry_.Expose().find(line) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

  observe::MetricsRegistry registry_;
  TrackerMetrics metrics_{registry_};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersWithTheClientsAddress) {
  Start({});
  Client client(port());
  client.Send("GET /a?b=%20c HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string response = client.Receive();
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(response, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(response, HasSubstr("/a?b=%20c for 127.0.0.1"));
}

TEST_F(HttpServerTest, KeepsTheConnectionForTheNextRequest) {
  Start({});
  Client client(port());
  for (int i = 0; i < 5; ++i) {
    client.Send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(client.Receive(), HasSubstr("/" + std::to_string(i) + " for"));
  }
  client.Send("GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReceiveAll(), HasSubstr("/last for"));
}

TEST_F(HttpServerTest, ClosesAfterAnHttp10RequestUnlessAskedNotTo) {
  Start({});
  Client once(port());
  once.Send("GET /once HTTP/1.0\r\n\r\n");
  EXPECT_THAT(once.ReceiveAll(), HasSubstr("/once for"));
  Client kept(port());
  for (int i = 0; i < 2; ++i) {
    kept.Send("GET /kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_THAT(kept.Receive(), HasSubstr("/kept for"));
  }
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start({.max_request_bytes = 1024});
  Client client(port());
  std::string requests;
  for (int i = 0; i < 300; ++i) {
    requests += "GET /n" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  auto sent = std::async(std::launch::async, [&] { client.Send(requests); });
  for (int i = 0; i < 300; ++i) {
    ASSERT_THAT(client.Receive(), HasSubstr("/n" + std::to_string(i) + " for"));
  }
}

TEST_F(HttpServerTest, TakesARequestInSmallPieces) {
  Start({});
  Client client(port());
  for (const char c : std::string("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")) {
    client.Send(std::string(1, c));
  }
  EXPECT_THAT(client.Receive(), HasSubstr("/slow for"));
}

TEST_F(HttpServerTest, OtherMethodsNameTheOneAllowed) {
  Start({});
  Client client(port());
  client.Send("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string response = client.ReceiveAll();
  EXPECT_THAT(response, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(response, HasSubstr("Allow: GET\r\n"));
}

TEST_F(HttpServerTest, GarbageGets400AndTheServerLives) {
  Start({});
  for (const std::string& garbage :
       {std::string("garbage\r\n\r\n"), std::string(100, '\0'),
        std::string("\x16\x03\x01\x02\x00\x01"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        std::string("GET /a b c HTTP/1.1\r\n\r\n")}) {
    Client client(port());
    client.Send(garbage + "\r\n\r\n");
    EXPECT_THAT(client.ReceiveAll(), StartsWith("HTTP/1.1 400 ")) << garbage;
  }
  EXPECT_TRUE(Shows("eagle_tracker_failures_total{reason=\"bad_http\"} 6"));
  Client client(port());
  client.Send("GET /fine HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.Receive(), HasSubstr("/fine for"));
}

TEST_F(HttpServerTest, AnOversizedRequestGets431) {
  Start({.max_request_bytes = 1024});
  Client client(port());
  client.Send("GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.ReceiveAll(), StartsWith("HTTP/1.1 431 "));
  EXPECT_TRUE(Shows("eagle_tracker_failures_total{reason=\"too_large\"} 1"));
  Client slightly(port());
  slightly.Send("GET /" + std::string(1024, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(slightly.ReceiveAll(), StartsWith("HTTP/1.1 431 "));
  Client fits(port());
  fits.Send("GET /" + std::string(900, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(fits.Receive(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, ABodyIsRefused) {
  Start({});
  for (const std::string& head :
       {std::string("Content-Length: 999999"), std::string("Transfer-Encoding: chunked")}) {
    Client client(port());
    client.Send("GET /a HTTP/1.1\r\nHost: x\r\n" + head + "\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    EXPECT_THAT(client.ReceiveAll(), StartsWith("HTTP/1.1 4")) << head;
  }
}

TEST_F(HttpServerTest, ASilentOrSlowClientIsCutOffAtTheDeadline) {
  Start({.deadline = std::chrono::milliseconds(50)});
  Client silent(port());
  EXPECT_EQ(silent.ReceiveAll(), "");
  Client slow(port());
  slow.Send("GET / HTT");
  EXPECT_EQ(slow.ReceiveAll(), "");
  EXPECT_TRUE(Shows("eagle_tracker_connections 0\n"));
}

TEST_F(HttpServerTest, AClientThatDripsIsCutOffToo) {
  Start({.deadline = std::chrono::milliseconds(100)});
  Client client(port());
  client.Send("GET / HTTP/1.1\r\nX: ");
  const auto end = std::chrono::steady_clock::now() + kPatience;
  bool open = true;
  while (open && std::chrono::steady_clock::now() < end) {
    open = client.Send("x");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_FALSE(open);
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondTheLimitUntilOneEnds) {
  Start({.max_connections = 2});
  auto first = std::make_unique<Client>(port());
  Client second(port());
  ASSERT_TRUE(Shows("eagle_tracker_connections 2\n"));
  EXPECT_EQ(Client(port()).ReceiveAll(), "");
  EXPECT_TRUE(Shows("eagle_tracker_connections_refused_total 1"));
  first.reset();
  ASSERT_TRUE(Shows("eagle_tracker_connections 1\n"));
  Client third(port());
  third.Send("GET /third HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(third.Receive(), HasSubstr("/third for"));
}

TEST_F(HttpServerTest, ServesIPv6AndIPv4OnOneSocket) {
  Start({.listen = "[::]:0"});
  Client six(port(), "::1");
  six.Send("GET /six HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(six.Receive(), HasSubstr("/six for ::1"));
  Client four(port(), "127.0.0.1");
  four.Send("GET /four HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(four.Receive(), HasSubstr("/four for 127.0.0.1"));
}

TEST_F(HttpServerTest, ManyClientsAtOnceAreAllAnswered) {
  Start({.threads = 4});
  std::vector<std::future<int>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::async(std::launch::async, [this] {
      int answered = 0;
      for (int j = 0; j < 50; ++j) {
        Client client(port());
        client.Send("GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        answered += client.ReceiveAll().starts_with("HTTP/1.1 200") ? 1 : 0;
      }
      return answered;
    }));
  }
  for (auto& client : clients) EXPECT_EQ(client.get(), 50);
}

TEST_F(HttpServerTest, StopsWithOpenConnections) {
  Start({});
  Client client(port());
  client.Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  client.Receive();
  Client idle(port());
  server_.reset();
  EXPECT_NE(client.Receive(), "");
}

TEST_F(HttpServerTest, ATakenPortOrABadAddressIsAnErrorThatNamesTheSetting) {
  Start({});
  const auto start = [&](const std::string& listen) {
    const auto server = HttpServer::Start(
        {.listen = listen}, [](const HttpQuestion&) { return HttpAnswer{}; }, metrics_);
    return std::string(base::Message(server.status()));
  };
  EXPECT_THAT(start("127.0.0.1:" + std::to_string(port())), HasSubstr("set \"listen\""));
  EXPECT_THAT(start("tracker:6969"), HasSubstr("must be an IP address"));
}

}  // namespace
}  // namespace eagle::tracker
