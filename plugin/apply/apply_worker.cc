#include "plugin/apply/apply_worker.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "lib/base/file.h"
#include "plugin/apply/cancellation.h"
#include "plugin/apply/layer_target.h"
#include "plugin/apply/pipeline.h"
#include "plugin/apply/worker_protocol.h"

namespace eagle::apply {
namespace {

// What unpacking needs: any owner and mode, devices, file capabilities and other attributes,
// mounts.
constexpr int kKeptCapabilities[] = {CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                                     CAP_FOWNER,  CAP_FSETID,       CAP_MKNOD,
                                     CAP_SETFCAP, CAP_SYS_ADMIN,    CAP_MAC_ADMIN};

absl::Status DropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return base::ErrnoError(errno, "capget");
  std::array<std::uint32_t, 2> kept{};
  for (const int capability : kKeptCapabilities) {
    kept[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sets[i].permitted &= kept[i];
    sets[i].effective &= kept[i];
    sets[i].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return base::ErrnoError(errno, "capset");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return base::ErrnoError(errno, "prctl");
  return absl::OkStatus();
}

void OfferToOomKiller() {
  // A layer that needs too much memory must cost an Apply, not the store. May fail in a sandbox
  // without /proc, where the kernel's own choice has to do.
  constexpr std::string_view kScore = "800";
  const auto file = base::OpenFile("/proc/self/oom_score_adj", O_WRONLY);
  if (file.ok()) (void)!::write(file->get(), kScore.data(), kScore.size());
}

void SetLimits() {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

// Mounts made from here on are seen by this process only and end with it, however it ends.
absl::Status LeaveMountNamespace() {
  if (::unshare(CLONE_NEWNS) != 0) {
    return base::ErrnoError(errno,
                            "unshare the mount namespace (a sandbox must allow it: "
                            "RestrictNamespaces=mnt and CAP_SYS_ADMIN)");
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return base::ErrnoError(errno, "make mounts private");
  }
  return absl::OkStatus();
}

absl::StatusOr<ApplyResult> Run(const Cancellation& cancellation) {
  EAGLE_ASSIGN_OR_RETURN(const std::string bytes,
                         ReceiveMessage(kWorkerSocket, kMaxRequestBytes, cancellation));
  EAGLE_ASSIGN_OR_RETURN(const WorkerRequest request, DecodeRequest(bytes));
  if (!request.mount_point.empty()) EAGLE_RETURN_IF_ERROR(LeaveMountNamespace());
  EAGLE_RETURN_IF_ERROR(DropCapabilities());
  return ApplyLayer(kWorkerBlob, request.apply, request.mount_point, cancellation);
}

}  // namespace

std::optional<int> RunApplyWorker(int argc, const char* const* argv) {
  if (argc != 2 || std::string_view(argv[1]) != kWorkerArgument) return std::nullopt;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "eagle-apply");
  ::syscall(SYS_close_range, kWorkerBlob + 1, ~0U, 0);
  ::umask(0);
  OfferToOomKiller();
  SetLimits();
  const Cancellation cancellation;
  const absl::Status sent = SendMessage(kWorkerSocket, EncodeReply(Run(cancellation)));
  return sent.ok() ? 0 : 1;
}

}  // namespace eagle::apply
