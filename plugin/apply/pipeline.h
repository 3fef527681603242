#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "plugin/apply/cancellation.h"
#include "plugin/apply/decompressor.h"
#include "plugin/apply/extractor.h"
#include "plugin/apply/mount_options.h"

namespace eagle::apply {

/// What a layer may cost: a small blob must not fill the node's disk. Beyond them an Apply is
/// RESOURCE_EXHAUSTED.
struct ApplyLimits {
  std::int64_t max_uncompressed_bytes = std::int64_t{1} << 40;
  /// Uncompressed bytes per byte of the blob, once there are more than `ratio_free_bytes` of them.
  std::int64_t max_ratio = 2000;
  std::int64_t ratio_free_bytes = std::int64_t{4} << 30;
  std::int64_t max_entries = 20'000'000;
};

struct ApplyRequest {
  Compression compression = Compression::kDetect;
  std::vector<Mount> mounts;
  /// Written back to disk before the result.
  bool sync_fs = false;
  ApplyLimits limits = {};
};

struct ApplyResult {
  /// SHA-256 and length of the whole uncompressed stream, what follows the archive included.
  base::Digest digest;
  std::int64_t size_bytes = 0;
  ExtractReport report;
};

/// Unpacks the file `blob` into the mounts: one thread reads and decompresses, one hashes, the
/// calling one extracts, with at most 20 MiB between them. `mount_point` as in LayerTarget. Blocks;
/// thread-safe. UNIMPLEMENTED (for what another applier has to do) leaves the mounts untouched;
/// after another error they hold part of the layer.
absl::StatusOr<ApplyResult> ApplyLayer(int blob, const ApplyRequest& request,
                                       const std::string& mount_point,
                                       const Cancellation& cancellation);

}  // namespace eagle::apply
