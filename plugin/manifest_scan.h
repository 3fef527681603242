#pragma once

#include <atomic>

#include "plugin/content_store.h"
#include "plugin/manifest_index.h"

namespace eagle::plugin {

/// Learns the manifests among the blobs on disk, the oldest first, and marks the index complete.
/// Blocks; gives up soon after `stop` is set.
void ScanManifests(const ContentStore& store, ManifestIndex& index, const std::atomic<bool>& stop);

}  // namespace eagle::plugin
