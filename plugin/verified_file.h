#pragma once

#include <cstdint>

#include "lib/base/digest.h"
#include "lib/base/unique_fd.h"

namespace eagle::plugin {

/// An open file that has exactly the bytes its digest says, and that nobody will write to again: a
/// blob of our own store, or a file of the cache that has been through the hand-over.
struct VerifiedFile {
  base::UniqueFd fd;
  base::Digest digest;
  std::int64_t size_bytes = 0;
};

}  // namespace eagle::plugin
