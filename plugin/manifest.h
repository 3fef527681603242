#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/digest.h"

namespace eagle::plugin {

/// Larger blobs are never looked into: registries and containerd bound manifests to 4 MiB.
inline constexpr std::int64_t kMaxManifestBytes = 4 << 20;

/// A layer as its manifest names it (OCI image spec, "Image Manifest", and Docker's schema 2).
struct ManifestLayer {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  /// Of a media type that registries do not serve ("foreign", "nondistributable").
  bool foreign = false;
};

/// The layers of an image manifest, lowest first. nullopt when `json` is anything else: not JSON,
/// an index, a config, a manifest without layers, with one that has no valid sha256 digest or size,
/// or with more layers than an image can have. Memory and time are linear in the input.
std::optional<std::vector<ManifestLayer>> ParseManifestLayers(std::string_view json);

}  // namespace eagle::plugin
