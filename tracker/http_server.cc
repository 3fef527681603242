#include "tracker/http_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/endpoint.h"
#include "lib/base/mutex.h"
#include "lib/observe/log.h"

namespace eagle::tracker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

// What is still read, and for how long, from a client that was answered with an error, so that the
// answer is not lost to a TCP reset.
constexpr std::size_t kMaxDrainBytes = 256 * 1024;
constexpr std::chrono::seconds kDrainTime{1};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr unsigned kHttp11 = 11;

struct Shared {
  const HttpServerOptions options;
  const HttpServer::Handler handler;
  TrackerMetrics& metrics;
  base::Mutex mutex{};
  std::size_t connections ABSL_GUARDED_BY(mutex) = 0;

  [[nodiscard]] bool Full() {
    base::MutexLock lock(&mutex);
    return connections >= options.max_connections;
  }
  // The gauge is set under the lock too, or a late writer would leave an old number in it.
  void Opened() {
    base::MutexLock lock(&mutex);
    metrics.ConnectionsChanged(++connections);
  }
  void Closed() {
    base::MutexLock lock(&mutex);
    metrics.ConnectionsChanged(--connections);
  }
};

IpAddress AddressOf(const tcp::endpoint& endpoint) {
  if (endpoint.address().is_v4()) return IpAddress(endpoint.address().to_v4().to_bytes());
  return IpAddress(endpoint.address().to_v6().to_bytes());
}

bool IsAboutHttp(beast::error_code error) {
  return error.category() == http::make_error_code(http::error::bad_method).category();
}

// One connection; owns itself through the callback it has pending. Runs on its strand.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const IpAddress& client, Shared& shared)
      : stream_(std::move(socket)),
        client_(client),
        shared_(shared),
        buffer_(2 * shared.options.max_request_bytes) {
    shared_.Opened();
  }
  ~Connection() { shared_.Closed(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.options.max_request_bytes));
    parser_->body_limit(0);
    stream_.expires_after(shared_.options.deadline);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](beast::error_code error, std::size_t) { self->OnRead(error); });
  }

 private:
  void OnRead(beast::error_code error) {
    if (!error) return Answer();
    if (!IsAboutHttp(error) || error == http::error::end_of_stream) return Close();
    if (error == http::error::header_limit || error == http::error::body_limit ||
        error == http::error::buffer_overflow) {
      shared_.metrics.RequestFailed(Failure::kTooLarge);
      return Refuse(http::status::request_header_fields_too_large, "the request is too large\n");
    }
    shared_.metrics.RequestFailed(Failure::kBadHttp);
    Refuse(http::status::bad_request, fmt::format("not HTTP: {}\n", error.message()));
  }

  void Answer() {
    const auto& request = parser_->get();
    HttpAnswer answer =
        shared_.handler({.method = {request.method_string().data(), request.method_string().size()},
                         .target = {request.target().data(), request.target().size()},
                         .client = client_});
    Prepare(answer.status, request.version());
    // Closing after an error also keeps a HEAD request's unexpected body from being read as an
    // answer.
    response_.keep_alive(request.keep_alive() && answer.status == 200);
    response_.set(http::field::content_type,
                  beast::string_view(answer.content_type.data(), answer.content_type.size()));
    if (answer.status == 405) response_.set(http::field::allow, "GET");
    response_.body() = std::move(answer.body);
    Write();
  }

  void Refuse(http::status status, std::string text) {
    Prepare(static_cast<unsigned>(status), kHttp11);
    response_.keep_alive(false);
    response_.set(http::field::content_type, "text/plain; charset=utf-8");
    response_.body() = std::move(text);
    Write();
  }

  // The version comes first, as it decides what keep_alive() has to write.
  void Prepare(unsigned status, unsigned version) {
    response_ = {};
    response_.result(status);
    response_.version(version);
  }

  void Write() {
    response_.prepare_payload();
    stream_.expires_after(shared_.options.deadline);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (error) return;
                        self->response_.keep_alive() ? self->Read() : self->Drain();
                      });
  }

  void Drain() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kDrainTime);
    ReadAndForget();
  }

  void ReadAndForget() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(buffer_.max_size()),
                            [self = shared_from_this()](beast::error_code error, std::size_t size) {
                              self->drained_ += size;
                              if (!error && self->drained_ < kMaxDrainBytes) self->ReadAndForget();
                            });
  }

  void Close() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  }

  beast::tcp_stream stream_;
  const IpAddress client_;
  Shared& shared_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  std::size_t drained_ = 0;
};

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpServerOptions& options, Handler handler, TrackerMetrics& metrics)
      : shared{options, std::move(handler), metrics},
        strand(asio::make_strand(io)),
        acceptor(strand),
        pause(strand) {}

  absl::Status Listen();
  void Accept();
  void OnAccept(beast::error_code error, tcp::socket socket);
  void Run();

  // Before `io`, whose end destroys the connections that are left.
  Shared shared;
  asio::io_context io;
  asio::strand<asio::io_context::executor_type> strand;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::vector<std::thread> threads;
};

absl::Status HttpServer::Impl::Listen() {
  EAGLE_ASSIGN_OR_RETURN(const base::Endpoint endpoint,
                         base::Endpoint::Parse(shared.options.listen));
  beast::error_code error;
  const auto address = asio::ip::make_address(endpoint.host, error);
  if (error) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" must be an IP address and a port", shared.options.listen));
  }
  const tcp::endpoint local(address, endpoint.port);
  acceptor.open(local.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && address.is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(local, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(fmt::format("listen on {}: {}; free the port or set \"listen\"",
                                              shared.options.listen, error.message()));
  }
  return absl::OkStatus();
}

void HttpServer::Impl::Accept() {
  acceptor.async_accept(asio::make_strand(io), [this](beast::error_code error, tcp::socket socket) {
    OnAccept(error, std::move(socket));
  });
}

void HttpServer::Impl::OnAccept(beast::error_code error, tcp::socket socket) {
  if (error == asio::error::operation_aborted) return;
  if (error) {
    // Mostly no descriptor is left: trying again at once would only burn the processor.
    observe::Warn("accept_failed", "error", error.message());
    pause.expires_after(kAcceptPause);
    pause.async_wait([this](beast::error_code stopped) {
      if (!stopped) Accept();
    });
    return;
  }
  // First, so that accepting goes on whatever happens to this one; the strand keeps the order.
  Accept();
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;
  if (shared.Full()) {
    shared.metrics.ConnectionRefused();
    return;
  }
  socket.set_option(tcp::no_delay(true), error);
  const auto executor = socket.get_executor();
  auto connection = std::make_shared<Connection>(std::move(socket), AddressOf(peer), shared);
  asio::dispatch(executor, [connection] { connection->Read(); });
}

void HttpServer::Impl::Run() {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& e) {
      observe::Error("request_aborted", "error", e.what());
    }
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                              Handler handler,
                                                              TrackerMetrics& metrics) {
  auto impl = std::make_unique<Impl>(options, std::move(handler), metrics);
  EAGLE_RETURN_IF_ERROR(impl->Listen());
  impl->Accept();
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t count = options.threads > 0 ? options.threads : cores;
  for (std::size_t i = 0; i < count; ++i) {
    impl->threads.emplace_back([raw = impl.get()] { raw->Run(); });
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() {
  impl_->io.stop();
  for (std::thread& thread : impl_->threads) thread.join();
}

std::uint16_t HttpServer::port() const {
  beast::error_code error;
  const auto endpoint = impl_->acceptor.local_endpoint(error);
  return error ? std::uint16_t{0} : endpoint.port();
}

}  // namespace eagle::tracker
