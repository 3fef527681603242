#include "lib/registry/fake_registry.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace eagle::registry {
namespace {

bool SendAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string HeaderOf(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

}  // namespace

std::int64_t FakeRequest::first() const {
  constexpr std::string_view kUnit = "bytes=";
  return range.empty() ? 0 : std::atoll(range.c_str() + kUnit.size());
}

std::int64_t FakeRequest::last(std::size_t size) const {
  const auto end = static_cast<std::int64_t>(size) - 1;
  const std::size_t dash = range.find('-');
  if (dash == std::string::npos || dash + 1 == range.size()) return end;
  return std::min<std::int64_t>(end, std::atoll(range.c_str() + dash + 1));
}

std::string FakeRequest::header(const std::string& name) const {
  return HeaderOf(head, name);
}

FakeReply FakeReply::Of(const std::string& blob, const FakeRequest& request) {
  FakeReply reply;
  const std::int64_t last = request.last(blob.size());
  reply.body = blob.substr(static_cast<std::size_t>(request.first()),
                           static_cast<std::size_t>(last - request.first() + 1));
  if (!request.range.empty()) {
    reply.status = 206;
    reply.headers.emplace_back("Content-Range",
                               fmt::format("bytes {}-{}/{}", request.first(), last, blob.size()));
  }
  return reply;
}

FakeRegistry::FakeRegistry(Handler handler) : handler_(std::move(handler)) {
  listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  // Every loopback address, so that tests can be two hosts.
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FakeRegistry::~FakeRegistry() {
  std::vector<std::thread> threads;
  {
    const absl::MutexLock held(&mutex_);
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
  acceptor_.join();
  {
    const absl::MutexLock held(&mutex_);
    for (const base::UniqueFd& fd : connections_) ::shutdown(fd.get(), SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::string FakeRegistry::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::vector<FakeRequest> FakeRegistry::requests() const {
  const absl::MutexLock held(&mutex_);
  return requests_;
}

void FakeRegistry::Accept() {
  while (true) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    const absl::MutexLock held(&mutex_);
    if (stopping_ || fd < 0) {
      if (fd >= 0) ::close(fd);
      return;
    }
    connections_.emplace_back(fd);
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void FakeRegistry::Serve(int fd) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    char buffer[4096];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return;
    head.append(buffer, static_cast<std::size_t>(n));
  }
  FakeRequest request;
  const std::size_t head_end = head.find("\r\n\r\n") + 4;
  request.body = head.substr(head_end);
  head.resize(head_end);
  const auto length =
      static_cast<std::size_t>(std::atoll(HeaderOf(head, "Content-Length").c_str()));
  while (request.body.size() < length) {
    char buffer[4096];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return;
    request.body.append(buffer, static_cast<std::size_t>(n));
  }
  request.method = head.substr(0, head.find(' '));
  const std::size_t target = head.find(' ') + 1;
  request.target = head.substr(target, head.find(' ', target) - target);
  request.range = HeaderOf(head, "Range");
  request.head = head;
  {
    const absl::MutexLock held(&mutex_);
    requests_.push_back(request);
  }
  Send(fd, handler_(request));
}

void FakeRegistry::Send(int fd, const FakeReply& reply) {
  const auto wait_for_the_end = [fd] {
    char byte;
    while (::recv(fd, &byte, 1, 0) > 0) {
    }
  };
  if (reply.silent) return wait_for_the_end();
  std::string head = fmt::format("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (reply.chunked) {
    head += "Transfer-Encoding: chunked\r\n\r\n";
  } else {
    head +=
        fmt::format("Content-Length: {}\r\n\r\n",
                    reply.content_length.value_or(static_cast<std::int64_t>(reply.body.size())));
  }
  std::string_view body = reply.body;
  if (reply.cut_after) body = body.substr(0, *reply.cut_after);
  bool sent = SendAll(fd, head);
  if (reply.chunked) {
    sent = sent && SendAll(fd, fmt::format("{:x}\r\n", body.size())) && SendAll(fd, body) &&
           SendAll(fd, "\r\n0\r\n\r\n");
  } else {
    sent = sent && SendAll(fd, body);
  }
  if (sent && reply.hang) return wait_for_the_end();
  ::shutdown(fd, SHUT_RDWR);
}

}  // namespace eagle::registry
