#pragma once

// For tests: a TCP relay to 127.0.0.1 that ends each connection somewhere.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <list>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/unique_fd.h"

namespace eagle::registry {

/// Cuts each connection after a random number of bytes from the server, at most `longest`.
class CuttingRelay {
 public:
  CuttingRelay(std::uint16_t upstream, std::uint64_t seed, std::int64_t longest)
      : upstream_(upstream), longest_(longest), random_(seed) {
    listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = Loopback(0);
    socklen_t length = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) std::abort();
    if (::listen(listener_.get(), 64) != 0) std::abort();
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~CuttingRelay() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    std::vector<std::thread> threads;
    {
      const absl::MutexLock held(&mutex_);
      for (const base::UniqueFd& fd : sockets_) ::shutdown(fd.get(), SHUT_RDWR);
      threads.swap(threads_);
    }
    for (std::thread& thread : threads) thread.join();
  }
  CuttingRelay(const CuttingRelay&) = delete;
  CuttingRelay& operator=(const CuttingRelay&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int cuts() const {
    const absl::MutexLock held(&mutex_);
    return cuts_;
  }

 private:
  static sockaddr_in Loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  void Accept() {
    while (true) {
      const int client = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = Loopback(upstream_);
      if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        std::abort();
      }
      const absl::MutexLock held(&mutex_);
      sockets_.emplace_back(client);
      sockets_.emplace_back(server);
      const auto limit = std::uniform_int_distribution<std::int64_t>(1, longest_)(random_);
      threads_.emplace_back([this, client, server, limit] { Relay(client, server, limit); });
    }
  }

  void Relay(int client, int server, std::int64_t left) {
    while (left > 0) {
      pollfd entries[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      if (::poll(entries, 2, -1) <= 0) break;
      if (entries[0].revents != 0 && Pass(client, server, kChunk) <= 0) break;
      if (entries[1].revents != 0) {
        const ssize_t size = Pass(server, client, left);
        if (size <= 0) break;
        left -= size;
      }
    }
    ::shutdown(client, SHUT_RDWR);
    ::shutdown(server, SHUT_RDWR);
    const absl::MutexLock held(&mutex_);
    if (left == 0) ++cuts_;
  }

  static ssize_t Pass(int from, int to, std::int64_t most) {
    char buffer[kChunk];
    const ssize_t size =
        ::recv(from, buffer, static_cast<std::size_t>(most < kChunk ? most : kChunk), 0);
    if (size <= 0 || ::send(to, buffer, static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) {
      return -1;
    }
    return size;
  }

  static constexpr int kChunk = 16 << 10;

  const std::uint16_t upstream_;
  const std::int64_t longest_;
  base::UniqueFd listener_;
  std::uint16_t port_ = 0;
  mutable absl::Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::list<base::UniqueFd> sockets_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  int cuts_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread acceptor_;
};

}  // namespace eagle::registry
