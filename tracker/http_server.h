#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "tracker/ip_address.h"
#include "tracker/tracker_metrics.h"

namespace eagle::tracker {

struct HttpQuestion {
  std::string_view method;
  /// Path and query as they came.
  std::string_view target;
  IpAddress client;
};

struct HttpAnswer {
  unsigned status = 200;
  std::string_view content_type = "text/plain";
  std::string body;
};

struct HttpServerOptions {
  /// "address:port", an IP literal; port 0 takes a free one. "[::]:port" serves IPv4 too.
  std::string listen = "127.0.0.1:0";
  /// 0 is one for each core.
  std::size_t threads = 0;
  std::size_t max_connections = 10'000;
  /// Of one request. A body is refused.
  std::size_t max_request_bytes = 8 * 1024;
  /// For the next request to be there as a whole, counted from the last answer, and for an answer
  /// to be taken.
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
};

/// HTTP/1.0 and 1.1 with keep-alive and pipelining, on threads of its own. Whatever is not HTTP is
/// answered with 400 or 431 and closed.
class HttpServer {
 public:
  /// Called on several threads at once; must not block.
  using Handler = std::function<HttpAnswer(const HttpQuestion&)>;

  /// Serves at once. `metrics` must outlive the server. UNAVAILABLE when the address is taken.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                           Handler handler,
                                                           TrackerMetrics& metrics);
  /// Stops accepting, ends connections, joins. No handler runs afterwards.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::tracker
