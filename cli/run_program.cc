#include "cli/run_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "lib/base/unique_fd.h"

namespace eagle::cli {
namespace {

constexpr std::size_t kMaxOutput = 16 << 20;
constexpr int kNotExecuted = 127;

struct Pipe {
  base::UniqueFd read;
  base::UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return base::ErrnoError(errno, "pipe");
  return Pipe{base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
}

[[noreturn]] void Become(const std::vector<char*>& argv, const std::string& root, int out,
                         int error) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(error, STDERR_FILENO);
  if (root != "/" && (::chroot(root.c_str()) != 0 || ::chdir("/") != 0)) ::_exit(kNotExecuted);
  ::execv(argv[0], argv.data());
  ::_exit(kNotExecuted);
}

// Reads both pipes to their ends; false when that takes too long.
bool Collect(Pipe& out, Pipe& error, ProgramOutput* result,
             std::chrono::steady_clock::time_point give_up) {
  const std::array<std::string*, 2> texts{&result->out, &result->error};
  std::array<pollfd, 2> polled{{{out.read.get(), POLLIN, 0}, {error.read.get(), POLLIN, 0}}};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        give_up - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0) continue;
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t size = ::read(polled[i].fd, buffer.data(), buffer.size());
      if (size <= 0) {
        polled[i].fd = -1;
      } else if (texts[i]->size() < kMaxOutput) {
        texts[i]->append(buffer.data(), static_cast<std::size_t>(size));
      }
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<ProgramOutput> RunProgram(const std::vector<std::string>& argv,
                                         const std::string& root, std::chrono::seconds patience) {
  EAGLE_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  EAGLE_ASSIGN_OR_RETURN(Pipe error, MakePipe());
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return base::ErrnoError(errno, "fork");
  if (pid == 0) Become(arguments, root, out.write.get(), error.write.get());
  out.write.Reset();
  error.write.Reset();

  ProgramOutput result;
  const bool ended = Collect(out, error, &result, std::chrono::steady_clock::now() + patience);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!ended) {
    return absl::DeadlineExceededError(
        fmt::format("{}: no end after {} s", argv[0], patience.count()));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (result.exit_code == kNotExecuted) {
    return absl::NotFoundError(fmt::format("{}: cannot be executed", argv[0]));
  }
  return result;
}

}  // namespace eagle::cli
