#include "plugin/apply/loop_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "lib/base/file.h"

namespace eagle::apply {
namespace {

// Another process may take the device that was free a moment ago.
constexpr int kAttempts = 64;

absl::Status Missing(const absl::Status& status) {
  return absl::FailedPreconditionError(fmt::format(
      "a layer on a file system image needs loop devices (modprobe loop, and a sandbox that shows "
      "/dev/loop*): {}",
      base::Message(status)));
}

}  // namespace

absl::StatusOr<LoopDevice> AttachLoopDevice(const std::string& file) {
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd backing, base::OpenFile(file, O_RDWR));
  const auto control = base::OpenFile("/dev/loop-control", O_RDWR);
  if (!control.ok()) return Missing(control.status());
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int number = ::ioctl(control->get(), LOOP_CTL_GET_FREE);
    if (number < 0) return Missing(base::ErrnoError(errno, "find a free loop device"));
    LoopDevice device;
    device.path = fmt::format("/dev/loop{}", number);
    auto opened = base::OpenFile(device.path, O_RDWR);
    if (!opened.ok()) return Missing(opened.status());
    device.fd = *std::move(opened);
    if (::ioctl(device.fd.get(), LOOP_SET_FD, backing.get()) != 0) {
      if (errno == EBUSY) continue;
      return base::ErrnoError(errno, fmt::format("attach {} to {}", device.path, file));
    }
    loop_info64 info{};
    info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(device.fd.get(), LOOP_SET_STATUS64, &info) == 0) return device;
    const int error = errno;
    ::ioctl(device.fd.get(), LOOP_CLR_FD, 0);
    return base::ErrnoError(error, fmt::format("set up {}", device.path));
  }
  return absl::UnavailableError("no loop device stays free long enough to be taken");
}

}  // namespace eagle::apply
