#pragma once

#include <string>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace eagle::apply {

/// A block device that shows a file: loop(4). It detaches by itself when neither this nor a mount
/// holds it any more.
struct LoopDevice {
  std::string path;
  base::UniqueFd fd;
};

/// Attaches a free device to `file`, writable. FAILED_PRECONDITION names what the host lacks.
absl::StatusOr<LoopDevice> AttachLoopDevice(const std::string& file);

}  // namespace eagle::apply
