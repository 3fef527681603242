#include "lib/observe/ops_server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "lib/base/endpoint.h"

namespace eagle::observe {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr std::chrono::seconds kDeadline{10};
constexpr int kMaxConnections = 64;
constexpr std::size_t kMaxRequestBytes = 16 * 1024;

struct Shared {
  const MetricsRegistry& metrics;
  OpsServer::Readiness readiness;
  int connections = 0;
};

// One connection; owns itself through the callbacks it has pending. Runs on the server's thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Shared& shared) : stream_(std::move(socket)), shared_(shared) {
    ++shared_.connections;
  }
  ~Connection() { --shared_.connections; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read() {
    parser_.emplace();
    parser_->header_limit(kMaxRequestBytes);
    parser_->body_limit(kMaxRequestBytes);
    stream_.expires_after(kDeadline);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       if (!error) self->Answer();
                     });
  }

 private:
  void Answer() {
    const auto& request = parser_->get();
    response_ = {};
    response_.version(request.version());
    response_.keep_alive(request.keep_alive());
    Fill(request.method(), std::string(request.target().data(), request.target().size()));
    response_.prepare_payload();
    stream_.expires_after(kDeadline);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (!error && self->response_.keep_alive()) self->Read();
                      });
  }

  void Fill(http::verb method, const std::string& target) {
    const std::string path = target.substr(0, target.find('?'));
    response_.set(http::field::content_type, "text/plain; charset=utf-8");
    if (method != http::verb::get && method != http::verb::head) {
      response_.result(http::status::method_not_allowed);
      response_.body() = "only GET is answered here\n";
    } else if (path == "/metrics") {
      response_.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
      response_.body() = shared_.metrics.Expose();
    } else if (path == "/healthz") {
      response_.body() = "ok\n";
    } else if (path == "/readyz") {
      const std::string reason = shared_.readiness();
      if (!reason.empty()) response_.result(http::status::service_unavailable);
      response_.body() = (reason.empty() ? "ok" : reason) + "\n";
    } else {
      response_.result(http::status::not_found);
      response_.body() = "try /metrics, /healthz or /readyz\n";
    }
    if (method == http::verb::head) response_.body().clear();
  }

  beast::tcp_stream stream_;
  Shared& shared_;
  beast::flat_buffer buffer_{kMaxRequestBytes * 2};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

}  // namespace

struct OpsServer::Impl {
  Impl(const MetricsRegistry& metrics, Readiness readiness)
      : shared{metrics, std::move(readiness)}, acceptor(io) {}

  void Accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error && shared.connections < kMaxConnections) {
        std::make_shared<Connection>(std::move(socket), shared)->Read();
      }
      Accept();
    });
  }

  Shared shared;
  asio::io_context io{1};
  tcp::acceptor acceptor;
  std::thread thread;
};

OpsServer::OpsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<OpsServer>> OpsServer::Start(const Options& options,
                                                            const MetricsRegistry& metrics,
                                                            Readiness readiness) {
  auto impl = std::make_unique<Impl>(metrics, std::move(readiness));
  if (options.listen.empty()) return std::unique_ptr<OpsServer>(new OpsServer(std::move(impl)));
  EAGLE_ASSIGN_OR_RETURN(const base::Endpoint endpoint, base::Endpoint::Parse(options.listen));
  beast::error_code error;
  const auto address = asio::ip::make_address(endpoint.host, error);
  if (error) {
    return absl::InvalidArgumentError(
        fmt::format("metrics address \"{}\" must be an IP address and a port", options.listen));
  }
  const tcp::endpoint local(address, endpoint.port);
  impl->acceptor.open(local.protocol(), error);
  if (!error) impl->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) impl->acceptor.bind(local, error);
  if (!error) impl->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(
        fmt::format("listen for metrics on {}: {}; free the port or set metrics.listen",
                    options.listen, error.message()));
  }
  impl->Accept();
  impl->thread = std::thread([io = &impl->io] { io->run(); });
  return std::unique_ptr<OpsServer>(new OpsServer(std::move(impl)));
}

OpsServer::~OpsServer() {
  impl_->io.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

std::uint16_t OpsServer::port() const {
  beast::error_code error;
  const auto endpoint = impl_->acceptor.local_endpoint(error);
  return error ? std::uint16_t{0} : endpoint.port();
}

}  // namespace eagle::observe
