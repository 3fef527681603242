#pragma once

#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::registry {

/// What a node asks a seeder for: "https://<registry>/v2/<repository>/blobs/sha256:<hex>". The text
/// is only ever taken apart, never dialled: where a registry is reached is the seeder's own table.
struct BlobUrl {
  /// Lower-case DNS name or IPv4 address, without port.
  std::string registry;
  /// As in the OCI distribution spec, "Pulling manifests": the grammar of <name>.
  std::string repository;
  base::Digest digest;

  /// INVALID_ARGUMENT unless it is exactly of that form.
  static absl::StatusOr<BlobUrl> Parse(std::string_view text);
  [[nodiscard]] std::string str() const;

  friend bool operator==(const BlobUrl&, const BlobUrl&) = default;
};

/// Labels of letters, digits and inner hyphens with dots between them, at most 253 characters.
bool IsHostName(std::string_view text);

/// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*, at most 255 characters.
bool IsRepository(std::string_view text);

/// In lower case; only ASCII letters change.
std::string ToLower(std::string_view text);

}  // namespace eagle::registry
