#pragma once

#include <string>

#include "lib/base/status.h"
#include "lib/registry/blob_source.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/retries.h"

namespace eagle::registry {

struct ManifestPlace {
  std::string repository;
  /// A tag or a digest.
  std::string reference;
};

/// The text of a manifest from one endpoint, tried again as often as the options say; as
/// Client::FetchManifest(), which sees to it that `place` is well-formed. Blocks.
absl::StatusOr<std::string> FetchManifestFrom(const BlobSource::Shared& shared,
                                              const ManifestPlace& place,
                                              const RetryOptions& retry_options,
                                              Cancellation& cancellation);

}  // namespace eagle::registry
