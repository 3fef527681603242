#include "plugin/apply/worker_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "plugin/apply/apply_worker.h"
#include "plugin/apply/layer_target.h"
#include "plugin/apply/root_dir.h"
#include "plugin/apply/worker_protocol.h"

namespace eagle::apply {
namespace {

// An empty folder that the worker mounts on, in its own namespace; removed again, never with what
// may be in it.
class MountPoint {
 public:
  static absl::StatusOr<MountPoint> Make(const std::string& root) {
    std::string path = root;
    if (path.empty()) {
      const char* runtime = std::getenv("XDG_RUNTIME_DIR");
      std::error_code error;
      path = runtime != nullptr ? runtime : std::filesystem::temp_directory_path(error).string();
    }
    path += "/eagle-apply-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return base::ErrnoError(errno, fmt::format("make {}", path));
    }
    return MountPoint(std::move(path));
  }

  MountPoint() = default;
  MountPoint(MountPoint&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  MountPoint& operator=(MountPoint&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~MountPoint() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit MountPoint(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

// A running worker, killed and reaped at the end.
class Worker {
 public:
  static absl::StatusOr<Worker> Start(const std::string& program, int blob);

  Worker(Worker&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_)) {}
  Worker& operator=(Worker&&) = delete;
  ~Worker() { (void)Stop(); }

  [[nodiscard]] int socket() const { return socket_.get(); }

  // How it ended: a description of a death, empty when it had done its work.
  std::string Stop() {
    if (pid_ < 0) return "";
    // It has nothing left to do, or nothing it does is wanted; an exit of its own comes first.
    int status = 0;
    pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
    if (reaped == 0) {
      ::kill(pid_, SIGKILL);
      do {
        reaped = ::waitpid(pid_, &status, 0);
      } while (reaped < 0 && errno == EINTR);
    }
    pid_ = -1;
    if (reaped > 0 && WIFSIGNALED(status))
      return fmt::format("killed by signal {}", WTERMSIG(status));
    if (reaped > 0 && WEXITSTATUS(status) != 0) {
      return fmt::format("exit code {}", WEXITSTATUS(status));
    }
    return "";
  }

 private:
  Worker(pid_t pid, base::UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}

  pid_t pid_;
  base::UniqueFd socket_;
};

absl::StatusOr<Worker> Worker::Start(const std::string& program, int blob) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return base::ErrnoError(errno, "socketpair");
  }
  base::UniqueFd ours(pair[0]);
  const base::UniqueFd theirs(pair[1]);
  // Out of the way of the numbers that the worker expects.
  constexpr int kAbove = 16;
  const base::UniqueFd socket(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, kAbove));
  const base::UniqueFd file(::fcntl(blob, F_DUPFD_CLOEXEC, kAbove));
  if (!socket.valid() || !file.valid()) return base::ErrnoError(errno, "dup");

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket.get(), kWorkerSocket);
  posix_spawn_file_actions_adddup2(&actions, file.get(), kWorkerBlob);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string name = "eagle-plugin";
  std::string argument = kWorkerArgument;
  const std::array<char*, 3> argv{name.data(), argument.data(), nullptr};
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return base::ErrnoError(error, fmt::format("start the apply worker {}", program));
  return Worker(pid, std::move(ours));
}

}  // namespace

absl::StatusOr<ApplyResult> WorkerClient::Apply(const ApplyRequest& request, int blob,
                                                const Cancellation& cancellation) {
  EAGLE_RETURN_IF_ERROR(cancellation.Check());
  EAGLE_RETURN_IF_ERROR(RootDir::CheckKernel());
  EAGLE_ASSIGN_OR_RETURN(const TargetPlan plan, PlanTarget(request.mounts, InUserNamespace()));
  MountPoint mount_point;
  if (plan.needs_mount()) {
    EAGLE_ASSIGN_OR_RETURN(mount_point, MountPoint::Make(options_.mount_root));
  }
  EAGLE_ASSIGN_OR_RETURN(Worker worker, Worker::Start(options_.program, blob));
  // A worker that is gone already says more by its exit than by its socket.
  (void)SendMessage(worker.socket(), EncodeRequest({request, mount_point.path()}));
  auto reply = ReceiveMessage(worker.socket(), kMaxReplyBytes, cancellation);
  const std::string death = worker.Stop();
  EAGLE_RETURN_IF_ERROR(reply.status());
  if (reply->empty()) {
    return absl::InternalError(fmt::format(
        "the apply worker died ({}); if that was the kernel's OOM killer, allow more memory",
        death.empty() ? "without a word" : death));
  }
  return DecodeReply(*reply);
}

}  // namespace eagle::apply
