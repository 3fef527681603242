#pragma once

#include <atomic>
#include <cstdint>

#include "lib/base/status.h"

namespace eagle::plugin {

enum class CopyKind { kReflink, kCopy };

/// Fills the empty file `to` with the first `size_bytes` of `from`: as a reflink where the file
/// system has it (only for a whole file), else byte by byte. Blocks; CANCELLED soon after
/// `cancelled` is set.
absl::StatusOr<CopyKind> CopyFile(int from, int to, std::int64_t size_bytes,
                                  const std::atomic<bool>& cancelled);

}  // namespace eagle::plugin
