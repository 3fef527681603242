#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/metainfo/metainfo.pb.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::seeder {

/// A layer that somebody wants, and where it comes from.
struct LayerRequest {
  /// A name of the `origins:` table, or one that could be there.
  std::string registry;
  /// At least one; they are asked in this order.
  std::vector<std::string> repositories;
  base::Digest digest;
  /// What the caller has read in a manifest.
  std::optional<std::int64_t> size_bytes;

  /// INVALID_ARGUMENT unless every part is well-formed (lib/registry/blob_url.h).
  static absl::StatusOr<LayerRequest> Parse(const metainfo::MetaInfoRequest& message);
  [[nodiscard]] metainfo::MetaInfoRequest ToProto() const;

  /// The first repository's URL, for logs.
  [[nodiscard]] std::string url() const;
  /// "registry/repository", the first one.
  [[nodiscard]] std::string source() const;

  friend bool operator==(const LayerRequest&, const LayerRequest&) = default;
  /// Any order, for maps.
  friend bool operator<(const LayerRequest& a, const LayerRequest& b);
};

}  // namespace eagle::seeder
