#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::registry {

/// Largest manifest that is taken: what registries have to take (OCI distribution spec, "Pushing
/// Manifests").
inline constexpr std::int64_t kMaxManifestBytes = 4 << 20;

/// Value of the Accept header with which to ask for one: OCI's and Docker's, index and manifest.
inline constexpr char kManifestTypes[] =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

/// "os/architecture[/variant]".
struct Platform {
  std::string os;
  std::string architecture;
  /// "" is any.
  std::string variant;

  static absl::StatusOr<Platform> Parse(std::string_view text);
  [[nodiscard]] std::string str() const;
  /// Whether an image for `other` is one for this platform.
  [[nodiscard]] bool Matches(const Platform& other) const;

  friend bool operator==(const Platform&, const Platform&) = default;
};

struct ManifestLayer {
  base::Digest digest;
  std::int64_t size_bytes = 0;

  friend bool operator==(const ManifestLayer&, const ManifestLayer&) = default;
};

/// What an image consists of, or for which platforms there is one. One of the two is empty.
struct Manifest {
  struct Entry {
    base::Digest digest;
    Platform platform;
  };
  /// Each digest once, in the manifest's order. What no container is made of (signatures, charts,
  /// layers that a registry may not distribute) is left out.
  std::vector<ManifestLayer> layers;
  /// Of an OCI index or Docker manifest list, those that are images with a platform.
  std::vector<Entry> entries;
  bool is_index = false;

  /// OCI image spec, "Image Manifest" and "Image Index"; Docker image manifest V2, schema 2.
  /// INVALID_ARGUMENT for anything else, what could be read as both (GHSA-77vh-xpmg-72qh), and what
  /// has more than 1,000 layers or entries.
  static absl::StatusOr<Manifest> Parse(std::string_view text);
};

}  // namespace eagle::registry
