#pragma once

#include <cstdint>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::registry {

/// Takes a blob's bytes as they come. Called on the thread that fetches. An error ends the fetch,
/// which then returns it.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  /// Once, before the first byte: the length that the registry states.
  virtual absl::Status Begin(std::int64_t size_bytes) = 0;
  /// In order, each byte once, never more than `size_bytes`.
  virtual absl::Status Write(std::string_view data) = 0;
};

}  // namespace eagle::registry
