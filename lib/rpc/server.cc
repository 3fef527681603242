#include "lib/rpc/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_posix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <thread>
#include <utility>

#include "lib/observe/log.h"

namespace eagle::rpc {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

}  // namespace

struct Server::Impl {
  std::unique_ptr<grpc::Server> server;
  int port = 0;
  std::chrono::milliseconds grace{0};
  // Accepts on inherited sockets, which gRPC cannot listen on itself.
  std::vector<base::UniqueFd> listen_fds;
  base::UniqueFd wake;
  std::thread acceptor;

  void AcceptLoop() {
    std::vector<pollfd> polled;
    for (const base::UniqueFd& fd : listen_fds) polled.push_back({fd.get(), POLLIN, 0});
    polled.push_back({wake.get(), POLLIN, 0});
    while (true) {
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
      if (polled.back().revents != 0) return;
      for (std::size_t i = 0; i < listen_fds.size(); ++i) {
        if (polled[i].revents == 0) continue;
        const int fd = ::accept4(polled[i].fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
          grpc::AddInsecureChannelFromFd(server.get(), fd);
        } else if (errno == EMFILE || errno == ENFILE) {
          // poll() would report the waiting connection again at once: leave the CPU to whoever will
          // free a descriptor.
          observe::Warn("accept_failed", "error", "too many open files; raise LimitNOFILE");
          ::poll(&polled.back(), 1, 100);
        }
      }
    }
  }
};

namespace {

absl::Status CheckUnixPath(const std::string& address) {
  constexpr std::size_t kMostBytes = sizeof(sockaddr_un::sun_path) - 1;
  const std::string_view path = std::string_view(address).substr(kUnixPrefix.size());
  if (!address.starts_with(kUnixPrefix) || path.size() <= kMostBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("listen on {}: the path has {} bytes and a unix socket's may have {}; choose a "
                  "shorter one",
                  address, path.size(), kMostBytes));
}

}  // namespace

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options,
                                                      const std::vector<grpc::Service*>& services) {
  // Never balanced: when gRPC's last user goes, it waits up to 10 s for a poller of its own.
  grpc_init();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // A second server on our port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  std::vector<int> ports(options.addresses.size(), 0);
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    EAGLE_RETURN_IF_ERROR(CheckUnixPath(options.addresses[i]));
    builder.AddListeningPort(options.addresses[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);

  auto impl = std::make_unique<Impl>();
  impl->grace = options.grace;
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr) {
    std::string all;
    for (const std::string& address : options.addresses) all += (all.empty() ? "" : ", ") + address;
    return absl::UnavailableError(fmt::format(
        "listen on {}: an address is in use or not this host's; free it or change it", all));
  }
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    const std::string& address = options.addresses[i];
    if (address.starts_with(kUnixPrefix)) {
      const std::string path = address.substr(kUnixPrefix.size());
      if (::chmod(path.c_str(), options.unix_mode) != 0) {
        return base::ErrnoError(errno, fmt::format("chmod {}", path));
      }
    } else if (impl->port == 0) {
      impl->port = ports[i];
    }
  }
  if (!options.listen_fds.empty()) {
    impl->listen_fds = std::move(options.listen_fds);
    impl->wake.Reset(::eventfd(0, EFD_CLOEXEC));
    for (const base::UniqueFd& fd : impl->listen_fds) {
      ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    }
    impl->acceptor = std::thread([raw = impl.get()] { raw->AcceptLoop(); });
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() {
  SetServing(false);
  if (impl_->acceptor.joinable()) {
    const std::uint64_t one = 1;
    (void)!::write(impl_->wake.get(), &one, sizeof one);
    impl_->acceptor.join();
  }
  impl_->server->Shutdown(std::chrono::system_clock::now() + impl_->grace);
  impl_->server->Wait();
}

void Server::SetServing(bool serving) {
  if (auto* health = impl_->server->GetHealthCheckService()) health->SetServingStatus(serving);
}

int Server::port() const {
  return impl_->port;
}

}  // namespace eagle::rpc
