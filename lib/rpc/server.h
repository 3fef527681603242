#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace grpc {
class Service;
}

namespace eagle::rpc {

/// Largest message that our servers and channels take; containerd's own limit.
inline constexpr int kMaxMessageBytes = 16 << 20;

struct ServerOptions {
  /// "unix:/run/eagle/plugin.sock" or "ip:port" (port 0 takes a free one).
  std::vector<std::string> addresses = {};
  /// Permissions of the unix sockets.
  unsigned int unix_mode = 0600;
  /// Listening unix sockets that a service manager made; connections are accepted on them too.
  std::vector<base::UniqueFd> listen_fds = {};
  /// How long running calls may go on when the server stops.
  std::chrono::milliseconds grace{1000};
};

/// A gRPC server with the standard health service and reflection beside the given services.
class Server {
 public:
  /// Binds and serves at once. The services must outlive the server. UNAVAILABLE when an address
  /// can not be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options,
                                                       const std::vector<grpc::Service*>& services);

  /// Reports NOT_SERVING, refuses new calls, gives running ones the grace, cancels the rest and
  /// waits until every handler has returned.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// What grpc.health.v1 answers; true after Start(). Thread-safe.
  void SetServing(bool serving);

  /// Port of the first TCP address; 0 without one.
  [[nodiscard]] int port() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::rpc
