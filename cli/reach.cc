#include "cli/reach.h"

#include <ares.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "api/health/health.grpc.pb.h"
#include "lib/base/unique_fd.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"

namespace eagle::cli {
namespace {

struct Address {
  sockaddr_storage address{};
  socklen_t length = 0;
};

struct Resolution {
  bool done = false;
  int error = ARES_ETIMEOUT;
  std::vector<Address> addresses;
};

void OnResolved(void* argument, int status, int /*timeouts*/, ares_addrinfo* result) {
  auto& resolution = *static_cast<Resolution*>(argument);
  resolution.done = true;
  resolution.error = status;
  if (result == nullptr) return;
  for (const ares_addrinfo_node* node = result->nodes; node != nullptr; node = node->ai_next) {
    Address address{.length = static_cast<socklen_t>(node->ai_addrlen)};
    std::memcpy(&address.address, node->ai_addr,
                std::min<std::size_t>(sizeof address.address, node->ai_addrlen));
    resolution.addresses.push_back(address);
  }
  ares_freeaddrinfo(result);
}

Resolution Resolve(const std::string& host, std::uint16_t port,
                   std::chrono::milliseconds patience) {
  Resolution resolution;
  ares_channel channel = nullptr;
  ares_options options{};
  options.timeout = static_cast<int>(patience.count());
  options.tries = 1;
  resolution.error = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
  if (resolution.error != ARES_SUCCESS) return resolution;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = ARES_AI_NUMERICSERV;
  ares_getaddrinfo(channel, host.c_str(), std::to_string(port).c_str(), &hints, OnResolved,
                   &resolution);
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!resolution.done && std::chrono::steady_clock::now() < give_up) {
    fd_set readable;
    fd_set writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    const int count = ares_fds(channel, &readable, &writable);
    timeval most{.tv_sec = 0, .tv_usec = 100'000};
    timeval storage{};
    timeval* wait = ares_timeout(channel, &most, &storage);
    ::select(count, &readable, &writable, nullptr, wait);
    ares_process(channel, &readable, &writable);
  }
  ares_destroy(channel);
  return resolution;
}

absl::Status Dial(const Address& address, std::chrono::milliseconds patience) {
  const auto* target = reinterpret_cast<const sockaddr*>(&address.address);
  const base::UniqueFd fd(
      ::socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::ErrnoError(errno, "socket");
  if (::connect(fd.get(), target, address.length) == 0) return absl::OkStatus();
  if (errno != EINPROGRESS) return base::ErrnoError(errno, "connect");
  pollfd waiting{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) {
    return absl::DeadlineExceededError("connect: no answer");
  }
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? absl::OkStatus() : base::ErrnoError(error, "connect");
}

}  // namespace

absl::Status ReachTcp(const std::string& host, std::uint16_t port,
                      std::chrono::milliseconds patience) {
  const Resolution resolution = Resolve(host, port, patience);
  if (resolution.addresses.empty()) {
    return absl::UnavailableError(
        fmt::format("{}: the name has no address ({})", host, ares_strerror(resolution.error)));
  }
  absl::Status status;
  const auto each = patience / static_cast<int>(resolution.addresses.size());
  for (const Address& address : resolution.addresses) {
    status = Dial(address, each);
    if (status.ok()) return status;
  }
  return absl::UnavailableError(fmt::format("{}:{}: {}", host, port, base::Message(status)));
}

absl::Status ReachUnixServer(const std::string& path, std::chrono::milliseconds patience) {
  const auto stub = grpc::health::v1::Health::NewStub(rpc::MakeChannel("unix:" + path));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  grpc::health::v1::HealthCheckResponse reply;
  EAGLE_RETURN_IF_ERROR(rpc::FromGrpc(stub->Check(&context, {}, &reply)));
  if (reply.status() != grpc::health::v1::HealthCheckResponse::SERVING) {
    return absl::UnavailableError("it says that it does not serve");
  }
  return absl::OkStatus();
}

}  // namespace eagle::cli
