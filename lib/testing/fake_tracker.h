#pragma once

// A tracker small enough to be read: one request at a time, remembers every announce, hands out
// everybody who announced before.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/unique_fd.h"

namespace eagle::testing {

class FakeTracker {
 public:
  FakeTracker() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0) std::abort();
    if (::listen(listener_, 64) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeTracker() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  FakeTracker(const FakeTracker&) = delete;
  FakeTracker& operator=(const FakeTracker&) = delete;

  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/announce";
  }
  /// From now on it takes requests and answers none.
  void FallSilent() {
    absl::MutexLock lock(&mutex_);
    silent_ = true;
  }
  /// Request lines so far.
  [[nodiscard]] std::vector<std::string> announces() const {
    absl::MutexLock lock(&mutex_);
    return announces_;
  }
  bool WaitFor(const std::string& text, int seconds = 20) {
    absl::MutexLock lock(&mutex_);
    const auto seen = [this, &text] {
      for (const std::string& line : announces_) {
        if (line.find(text) != std::string::npos) return true;
      }
      return false;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&seen), absl::Seconds(seconds));
  }

 private:
  void Serve() {
    while (true) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      const int fd = ::accept(listener_, reinterpret_cast<sockaddr*>(&from), &length);
      if (fd < 0) return;
      std::string request(8192, '\0');
      const ssize_t n = ::recv(fd, request.data(), request.size(), 0);
      request.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      const std::string line = request.substr(0, request.find('\r'));
      std::string reply;
      {
        absl::MutexLock lock(&mutex_);
        announces_.push_back(line);
        if (silent_) {
          unanswered_.emplace_back(fd);
          continue;
        }
        reply = "d8:intervali5e12:min intervali1e5:peers" + std::to_string(peers_.size()) + ":" +
                peers_ + "e";
        const auto port = static_cast<std::uint16_t>(std::atoi(After(line, "&port=").c_str()));
        const std::uint16_t wire = htons(port);
        peers_.append(reinterpret_cast<const char*>(&from.sin_addr), 4);
        peers_.append(reinterpret_cast<const char*>(&wire), 2);
      }
      reply = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " +
              std::to_string(reply.size()) + "\r\n\r\n" + reply;
      (void)!::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL);
      ::close(fd);
    }
  }
  static std::string After(const std::string& line, const std::string& key) {
    const std::size_t at = line.find(key);
    return at == std::string::npos ? "" : line.substr(at + key.size());
  }

  int listener_ = -1;
  int port_ = 0;
  mutable absl::Mutex mutex_;
  std::vector<std::string> announces_;
  std::string peers_;
  bool silent_ = false;
  std::vector<base::UniqueFd> unanswered_;
  std::thread thread_;
};

}  // namespace eagle::testing
