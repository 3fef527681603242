#include "seeder/notification_server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <thread>
#include <utility>

#include "lib/base/endpoint.h"
#include "lib/observe/log.h"

namespace eagle::seeder {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr std::uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr unsigned kHttp11 = 11;
constexpr std::chrono::milliseconds kAcceptPause{100};
// What is still read, and for how long, after an answer, so that it is not lost to a TCP reset.
constexpr std::size_t kMaxDrainBytes = 2 << 20;
constexpr std::chrono::seconds kDrainTime{1};

struct Shared {
  NotificationServerOptions options;
  Notifications& notifications;
  std::size_t connections = 0;
};

std::string_view View(beast::string_view text) {
  return {text.data(), text.size()};
}

// One connection; owns itself through the callback it has pending. Runs on the server's thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Shared& shared) : stream_(std::move(socket)), shared_(shared) {
    ++shared_.connections;
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(shared_.options.max_body_bytes);
  }
  ~Connection() { --shared_.connections; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read() {
    stream_.expires_after(shared_.options.deadline);
    http::async_read_header(stream_, buffer_, parser_,
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              error ? self->Fail(error) : self->Admit();
                            });
  }

 private:
  [[nodiscard]] Notifications::Head Head() const {
    const auto& request = parser_.get();
    const std::string_view target = View(request.target());
    return {View(request.method_string()), target.substr(0, target.find('?')),
            View(request[http::field::authorization])};
  }

  void Admit() {
    NotificationAnswer answer = shared_.notifications.Admit(Head());
    if (answer.status != 200) return Write(std::move(answer));
    // The deadline is still that of the whole request.
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       error ? self->Fail(error) : self->Answer();
                     });
  }

  void Answer() {
    const auto& body = parser_.get().body();
    NotificationAnswer answer = shared_.notifications.Answer(Head(), body);
    if (parser_.get().method() == http::verb::head) answer.body.clear();
    Write(std::move(answer));
  }

  void Fail(beast::error_code error) {
    if (error == http::error::end_of_stream ||
        error.category() != http::make_error_code(http::error::bad_method).category()) {
      return;
    }
    if (error == http::error::body_limit) return Write({413, "the body is too large\n"});
    if (error == http::error::header_limit) return Write({431, "the header is too large\n"});
    Write({400, fmt::format("not HTTP: {}\n", error.message())});
  }

  void Write(NotificationAnswer answer) {
    response_.version(kHttp11);
    response_.result(static_cast<unsigned>(answer.status));
    response_.keep_alive(false);
    response_.set(http::field::content_type,
                  answer.status == 200 ? "application/json" : "text/plain; charset=utf-8");
    if (answer.status == 401) response_.set(http::field::www_authenticate, "Basic realm=\"eagle\"");
    if (answer.status == 503) response_.set(http::field::retry_after, "10");
    response_.body() = std::move(answer.body);
    response_.prepare_payload();
    stream_.expires_after(shared_.options.deadline);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (!error) self->Drain();
                      });
  }

  void Drain() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kDrainTime);
    ReadAndForget();
  }

  void ReadAndForget() {
    rest_.clear();
    stream_.async_read_some(rest_.prepare(kMaxHeaderBytes),
                            [self = shared_from_this()](beast::error_code error, std::size_t size) {
                              self->drained_ += size;
                              if (!error && self->drained_ < kMaxDrainBytes) self->ReadAndForget();
                            });
  }

  beast::tcp_stream stream_;
  Shared& shared_;
  beast::flat_buffer buffer_;
  beast::flat_buffer rest_;
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> response_;
  std::size_t drained_ = 0;
};

}  // namespace

struct NotificationServer::Impl {
  Impl(const NotificationServerOptions& options, Notifications& notifications)
      : shared{options, notifications}, acceptor(io), pause(io) {}

  absl::Status Listen();
  void Accept();
  void Run();

  // Before `io`, whose end destroys the connections that are left.
  Shared shared;
  asio::io_context io{1};
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::thread thread;
};

absl::Status NotificationServer::Impl::Listen() {
  const std::string& listen = shared.options.listen;
  EAGLE_ASSIGN_OR_RETURN(const base::Endpoint endpoint, base::Endpoint::Parse(listen));
  beast::error_code error;
  const auto address = asio::ip::make_address(endpoint.host, error);
  if (error) {
    return absl::InvalidArgumentError(
        fmt::format("notifications.listen \"{}\" must be an IP address and a port", listen));
  }
  const tcp::endpoint local(address, endpoint.port);
  acceptor.open(local.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(local, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("listen for notifications on {}: {}; free the port or set notifications.listen",
                  listen, error.message()));
}

void NotificationServer::Impl::Accept() {
  acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error && shared.connections < shared.options.max_connections) {
      std::make_shared<Connection>(std::move(socket), shared)->Read();
    }
    if (!error) return Accept();
    // Mostly no descriptor is left: trying again at once would only burn the processor.
    pause.expires_after(kAcceptPause);
    pause.async_wait([this](beast::error_code stopped) {
      if (!stopped) Accept();
    });
  });
}

void NotificationServer::Impl::Run() {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& e) {
      observe::Error("notification_aborted", "error", e.what());
    }
  }
}

NotificationServer::NotificationServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<NotificationServer>> NotificationServer::Start(
    const NotificationServerOptions& options, Notifications& notifications) {
  auto impl = std::make_unique<Impl>(options, notifications);
  EAGLE_RETURN_IF_ERROR(impl->Listen());
  impl->Accept();
  impl->thread = std::thread([raw = impl.get()] { raw->Run(); });
  return std::unique_ptr<NotificationServer>(new NotificationServer(std::move(impl)));
}

NotificationServer::~NotificationServer() {
  impl_->io.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

std::uint16_t NotificationServer::port() const {
  beast::error_code error;
  const auto endpoint = impl_->acceptor.local_endpoint(error);
  return error ? std::uint16_t{0} : endpoint.port();
}

}  // namespace eagle::seeder
