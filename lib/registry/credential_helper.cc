#include "lib/registry/credential_helper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "lib/base/unique_fd.h"

extern char** environ;

namespace eagle::registry {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kMaxOutput = 64 << 10;
constexpr int kPollMs = 100;
constexpr std::string_view kNotFound = "credentials not found";

// A started helper; the destructor kills its whole process group and reaps it.
class Process {
 public:
  explicit Process(pid_t pid) : pid_(pid) {}
  ~Process() { Reap(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Exit code, when it ended by itself within the deadline; nothing otherwise.
  std::optional<int> Wait(Steady::time_point deadline, const Cancellation& cancellation) {
    while (true) {
      // The process is left to be reaped, so that its group can not be another's by then.
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
        return std::nullopt;
      }
      if (info.si_pid == pid_) return info.si_code == CLD_EXITED ? info.si_status : 128;
      if (cancellation.cancelled() || Steady::now() >= deadline) return std::nullopt;
      ::usleep(5'000);
    }
  }

 private:
  void Reap() {
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  const pid_t pid_;
};

struct Pipes {
  base::UniqueFd ours;
  base::UniqueFd theirs;
};

// One socket is the helper's stdin and stdout, so that writing to a helper that has gone is an
// error and no signal.
absl::StatusOr<Pipes> MakePipes() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return absl::ResourceExhaustedError("no descriptors left for a credential helper");
  }
  return Pipes{base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
}

absl::StatusOr<pid_t> Spawn(const std::string& program, int stdio) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, stdio, 0);
  posix_spawn_file_actions_adddup2(&actions, stdio, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::string name = program;
  std::string verb = "get";
  char* const argv[] = {name.data(), verb.data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, program.c_str(), &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return pid;
  return absl::UnavailableError(
      fmt::format("{} can not be started; is it in the seeder's PATH?", program));
}

absl::Status TellServer(int fd, const std::string& server) {
  const std::string line = server + "\n";
  const ssize_t sent = ::send(fd, line.data(), line.size(), MSG_NOSIGNAL);
  ::shutdown(fd, SHUT_WR);
  if (sent == static_cast<ssize_t>(line.size()) || errno == EPIPE) return absl::OkStatus();
  return absl::UnavailableError("does not read what it is asked for");
}

absl::StatusOr<std::string> ReadOutput(int fd, Steady::time_point deadline,
                                       const Cancellation& cancellation) {
  std::string output;
  while (true) {
    if (cancellation.cancelled()) return absl::CancelledError("the fetch was cancelled");
    if (Steady::now() >= deadline) return absl::UnavailableError("did not answer in time");
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, kPollMs) <= 0) continue;
    char buffer[4096];
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    // A helper that did not read what it was sent resets the socket.
    if (size <= 0) return output;
    output.append(buffer, static_cast<std::size_t>(size));
    if (output.size() > kMaxOutput) return absl::UnavailableError("writes too much");
  }
}

absl::StatusOr<std::optional<Credential>> ReadAnswer(const std::string& output, int exit_code) {
  if (exit_code != 0) {
    if (output.starts_with(kNotFound)) return std::optional<Credential>();
    return absl::UnavailableError(fmt::format("failed with exit code {}", exit_code));
  }
  const auto json = nlohmann::json::parse(output, nullptr, false);
  const auto text = [&](const char* key) {
    const auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  if (!json.is_object() || text("Secret").empty()) {
    return absl::UnavailableError("answered what is no credential");
  }
  Credential credential;
  // What docker's helpers say instead of a user name beside a refresh token.
  if (text("Username") == "<token>") {
    credential.refresh_token = text("Secret");
  } else {
    credential.username = text("Username");
    credential.password = text("Secret");
  }
  return std::optional(std::move(credential));
}

absl::StatusOr<std::optional<Credential>> Ask(const std::string& program, const std::string& server,
                                              Steady::time_point deadline,
                                              const Cancellation& cancellation) {
  EAGLE_ASSIGN_OR_RETURN(Pipes pipes, MakePipes());
  EAGLE_ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, pipes.theirs.get()));
  Process process(pid);
  pipes.theirs.Reset();
  EAGLE_RETURN_IF_ERROR(TellServer(pipes.ours.get(), server));
  EAGLE_ASSIGN_OR_RETURN(const std::string output,
                         ReadOutput(pipes.ours.get(), deadline, cancellation));
  const auto exit_code = process.Wait(deadline, cancellation);
  if (!exit_code) return absl::UnavailableError("did not end in time");
  return ReadAnswer(output, *exit_code);
}

}  // namespace

absl::StatusOr<std::optional<Credential>> AskCredentialHelper(const DockerConfig::Helper& helper,
                                                              std::chrono::milliseconds timeout,
                                                              const Cancellation& cancellation) {
  const std::string program = "docker-credential-" + helper.name;
  auto answer = Ask(program, helper.server, Steady::now() + timeout, cancellation);
  if (answer.ok()) return answer;
  return base::Annotate(answer.status(), program);
}

}  // namespace eagle::registry
