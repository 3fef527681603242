#pragma once

#include <cstdint>
#include <string>

#include "e2e/differential/coverage.h"
#include "e2e/differential/differences.h"
#include "e2e/differential/generator.h"
#include "e2e/differential/player.h"

namespace eagle::differential {

/// Plays sequences on two servers at once, call by call, and compares what they come to.
class Comparison {
 public:
  Comparison(Surface surface, const std::string& built_in, const std::string& eagle);

  /// What differs, with everything that was called until then; "" when nothing does.
  std::string Run(std::uint64_t seed);

  [[nodiscard]] const Coverage& coverage() const { return coverage_; }
  [[nodiscard]] std::int64_t calls() const { return calls_; }

 private:
  enum class Verdict { kSame, kEnd, kDifferent };
  Verdict Step(const Operation& operation);
  Before Look(const Operation& operation);
  void Remember(const Operation& operation, const Outcome& built_in, const Outcome& eagle);

  const Surface surface_;
  Player built_in_;
  Player eagle_;
  Coverage coverage_;
  std::int64_t calls_ = 0;
  std::string history_;
};

}  // namespace eagle::differential
