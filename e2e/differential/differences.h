#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "e2e/differential/generator.h"
#include "e2e/differential/operation.h"
#include "e2e/differential/player.h"

namespace eagle::differential {

/// Something in which Eagle differs from the built-in store on purpose, or in which containerd's
/// proxy client does whatever store is behind it.
struct Difference {
  std::string_view name;
  std::string_view reason;
  /// The two stores are in the same state afterwards; else the sequence ends here.
  bool same_state = false;
};

/// What is to be known of a ref before a stream opens it.
struct Before {
  std::int64_t offset = 0;
  std::int64_t total = 0;
};

/// Of this call; nullptr when it is to come to the same on both. The outcomes may be the same and
/// the states differ none the less.
const Difference* FindDifference(Surface surface, const Operation& operation, const Before& before,
                                 const Outcome& built_in, const Outcome& eagle);

}  // namespace eagle::differential
