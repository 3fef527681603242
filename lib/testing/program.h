#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/unique_fd.h"

extern char** environ;

namespace eagle::testing {

/// A program started as an operator does, its output being read; killed at the end when it still
/// runs. Not thread-safe.
class Program {
 public:
  /// `name` as in "eagle-tracker", from the build's bin folder; or an absolute path.
  Program(const std::string& name, std::vector<std::string> arguments) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
    output_.Reset(fds[0]);
    const base::UniqueFd write_end(fds[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    arguments.insert(arguments.begin(), name.starts_with("/") ? name : EAGLE_BIN_DIR "/" + name);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Reads on until `text` has come, the output ends or patience does.
  const std::string& ReadUntil(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (text.empty() || read_.find(text) == std::string::npos) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd waiting{.fd = output_.get(), .events = POLLIN, .revents = 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) break;
      char buffer[4096];
      const ssize_t size = ::read(output_.get(), buffer, sizeof buffer);
      if (size <= 0) break;
      read_.append(buffer, static_cast<std::size_t>(size));
    }
    return read_;
  }

  void Signal(int signal) const { ::kill(pid_, signal); }

  /// Its exit code, after its output has ended; -1 when a signal ended it.
  int Wait() {
    ReadUntil("");
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  [[nodiscard]] const std::string& output() const { return read_; }

 private:
  static constexpr std::chrono::seconds kPatience{60};

  pid_t pid_ = -1;
  base::UniqueFd output_;
  std::string read_;
};

}  // namespace eagle::testing
