#include "plugin/file_copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "lib/base/file.h"

namespace eagle::plugin {
namespace {

constexpr std::int64_t kStepBytes = 1 << 20;

bool Reflink(int from, int to, std::int64_t size_bytes) {
  struct stat info {};
  return ::fstat(from, &info) == 0 && info.st_size == size_bytes && ::ioctl(to, FICLONE, from) == 0;
}

}  // namespace

absl::StatusOr<CopyKind> CopyFile(int from, int to, std::int64_t size_bytes,
                                  const std::atomic<bool>& cancelled) {
  if (Reflink(from, to, size_bytes)) return CopyKind::kReflink;
  for (std::int64_t at = 0; at < size_bytes;) {
    if (cancelled) return absl::CancelledError("copy: cancelled");
    EAGLE_ASSIGN_OR_RETURN(
        const std::string data,
        base::ReadAt(from, at, static_cast<std::size_t>(std::min(kStepBytes, size_bytes - at))));
    if (data.empty()) return absl::DataLossError("copy: the file has become shorter");
    EAGLE_RETURN_IF_ERROR(base::WriteAllAt(to, data, at));
    at += static_cast<std::int64_t>(data.size());
  }
  return CopyKind::kCopy;
}

}  // namespace eagle::plugin
