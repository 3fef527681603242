#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "lib/observe/metrics.h"

namespace eagle::observe {

/// The HTTP endpoint for operators: GET /metrics, /healthz (200 while the process lives) and
/// /readyz (200, or 503 with the reason as text). One thread of its own; a deadline of 10 s on
/// every connection and a bound on connections, so that a careless client cannot hurt the program.
class OpsServer {
 public:
  struct Options {
    /// "address:port", an IP literal; port 0 takes a free one. "" means no endpoint.
    std::string listen;
  };

  /// Why the program is not ready; "" when it is. Called on the server's thread: must not block.
  using Readiness = std::function<std::string()>;

  /// `metrics` must outlive the server.
  static absl::StatusOr<std::unique_ptr<OpsServer>> Start(const Options& options,
                                                          const MetricsRegistry& metrics,
                                                          Readiness readiness);
  /// Stops accepting, ends open connections, joins.
  ~OpsServer();
  OpsServer(const OpsServer&) = delete;
  OpsServer& operator=(const OpsServer&) = delete;

  /// 0 when there is no endpoint.
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Impl;
  explicit OpsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::observe
