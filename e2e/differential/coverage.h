#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "e2e/differential/generator.h"
#include "e2e/differential/operation.h"
#include "e2e/differential/player.h"

namespace eagle::differential {

/// Which calls came to what, and how often.
class Coverage {
 public:
  void Count(const Operation& operation, const Outcome& outcome);
  void CountDifference(std::string_view name);

  /// What a run of a few hundred sequences comes to and this one did not.
  [[nodiscard]] std::vector<std::string> Missing(Surface surface) const;
  [[nodiscard]] std::string Table() const;

 private:
  static std::string Class(const Operation& operation, const Outcome& outcome);

  // By call, code and depth; and the names of differences.
  std::map<std::string, int> seen_;
};

}  // namespace eagle::differential
