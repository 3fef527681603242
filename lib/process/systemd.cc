#include "lib/process/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace eagle::process {
namespace {

constexpr int kFirstListenFd = 3;

std::int64_t EnvironmentNumber(const char* name) {
  const char* text = std::getenv(name);
  std::int64_t value = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  return value;
}

}  // namespace

void NotifySystemd(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const base::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return;
  (void)::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

std::string ReloadingState() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return "RELOADING=1\nMONOTONIC_USEC=" +
         std::to_string(std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000);
}

std::optional<std::chrono::milliseconds> WatchdogTimeout() {
  const std::int64_t pid = EnvironmentNumber("WATCHDOG_PID");
  if (pid != 0 && pid != ::getpid()) return std::nullopt;
  const std::chrono::microseconds timeout(EnvironmentNumber("WATCHDOG_USEC"));
  const auto rounded = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
  if (rounded.count() <= 0) return std::nullopt;
  return rounded;
}

std::vector<base::UniqueFd> TakeListenFds() {
  std::vector<base::UniqueFd> fds;
  if (EnvironmentNumber("LISTEN_PID") != ::getpid()) return fds;
  const auto count = static_cast<int>(EnvironmentNumber("LISTEN_FDS"));
  for (int fd = kFirstListenFd; fd < kFirstListenFd + count; ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    fds.emplace_back(fd);
  }
  return fds;
}

}  // namespace eagle::process
