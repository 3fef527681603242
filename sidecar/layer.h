#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/digest.h"

namespace eagle::sidecar {

/// Where a layer can be had: names as in the image's reference, the registry without port and
/// scheme.
struct Source {
  std::string registry;
  std::string repository;

  friend bool operator==(const Source&, const Source&) = default;
};

/// A layer as the plugin asks for it; the size is the manifest's.
struct WantedLayer {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  std::vector<Source> sources;
};

/// Why a layer does not come over P2P; api/node/node.proto says what each means.
enum class FailureReason {
  kNoSeeder,
  kDenied,
  kStalled,
  kNoSpace,
  kMismatch,
  kInternal,
  kShuttingDown,
};

struct Failure {
  FailureReason reason = FailureReason::kInternal;
  std::string message;
};

}  // namespace eagle::sidecar
