#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "seeder/notifications.h"

namespace eagle::seeder {

struct NotificationServerOptions {
  /// "address:port", an IP literal; port 0 takes a free one.
  std::string listen;
  std::size_t max_connections = 64;
  std::size_t max_body_bytes = 1 << 20;
  /// For a request to be there as a whole, and for its answer to be taken.
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
};

/// HTTP/1.1 in front of Notifications, on one thread of its own; one request a connection. Whoever
/// is not admitted is answered before the body is read; 413 and 431 for what is too large, 400 for
/// what is not HTTP.
class NotificationServer {
 public:
  /// Serves at once. `notifications` must outlive it. UNAVAILABLE when the address is taken.
  static absl::StatusOr<std::unique_ptr<NotificationServer>> Start(
      const NotificationServerOptions& options, Notifications& notifications);
  /// Ends connections, joins.
  ~NotificationServer();
  NotificationServer(const NotificationServer&) = delete;
  NotificationServer& operator=(const NotificationServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Impl;
  explicit NotificationServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::seeder
