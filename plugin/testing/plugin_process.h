#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"

namespace eagle::plugin::testing {

/// The real binary as a child; killed when it is still there at the end. Not thread-safe.
class Process {
 public:
  /// `prepare` runs in the child before exec.
  explicit Process(const std::vector<std::string>& arguments,
                   const std::function<void()>& prepare = {}) {
    const base::UniqueFd program(::open(EAGLE_BIN_DIR "/eagle-plugin", O_RDONLY));
    int out[2];
    EXPECT_EQ(::pipe(out), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      if (prepare) prepare();
      std::vector<char*> argv{const_cast<char*>("eagle-plugin")};
      for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
      }
      argv.push_back(nullptr);
      ::fexecve(program.get(), argv.data(), environ);
      ::_exit(127);
    }
    ::close(out[1]);
    out_.Reset(out[0]);
  }
  ~Process() {
    if (pid_ > 0) Signal(SIGKILL);
  }

  /// Its exit code, or 128 and the signal that ended it.
  int Wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void Send(int signal) const { ::kill(pid_, signal); }
  int Signal(int signal) {
    Send(signal);
    return Wait();
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// All it says, until it ends.
  std::string Output() {
    std::string text;
    char buffer[1024];
    for (ssize_t n; (n = ::read(out_.get(), buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }

 private:
  pid_t pid_ = -1;
  base::UniqueFd out_;
};

/// plugin.yaml in `folder`, which the process sees as `prefix`.
inline void WriteConfig(const std::string& folder, const std::string& prefix,
                        const std::string& log_level = "error") {
  std::ofstream(folder + "/plugin.yaml") << fmt::format(
      "listen: unix:{0}/plugin.sock\ncontainerd_address: unix:{0}/containerd.sock\n"
      "root: {0}/content\ncache_dir: {0}/cache\nsidecar_address: unix:{0}/sidecar.sock\n"
      "state_dir: {0}/state\nmetrics: {{listen: 127.0.0.1:0}}\nlog_level: {1}\n",
      prefix, log_level);
}

}  // namespace eagle::plugin::testing
