#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::registry {

/// An image as people write it: "[<registry>[:port]/]<repository>[:<tag>][@sha256:<hex>]", with
/// docker's rules for what is left out (docker.io, library/, latest).
struct ImageName {
  /// Lower-case DNS name or IPv4 address without port, as containerd tells it to Eagle; where it is
  /// reached is the seeder's own table.
  std::string registry;
  std::string repository;
  /// "" when only a digest was written.
  std::string tag;
  /// Beside a tag it is the digest that counts.
  std::optional<base::Digest> digest;

  /// INVALID_ARGUMENT unless every part is well-formed.
  static absl::StatusOr<ImageName> Parse(std::string_view text);

  /// What a registry is asked for: the digest, else the tag.
  [[nodiscard]] std::string reference() const;
  /// In full, with nothing left out.
  [[nodiscard]] std::string str() const;

  friend bool operator==(const ImageName&, const ImageName&) = default;
};

/// [A-Za-z0-9_][A-Za-z0-9._-]{0,127} (OCI distribution spec, "Pulling manifests").
bool IsTag(std::string_view text);

}  // namespace eagle::registry
