#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/status.h"

namespace eagle::registry {

/// One way to prove who one is, as a server offers it (RFC 9110, 11.6.1).
struct Challenge {
  /// In lower case: "basic", "bearer".
  std::string scheme;
  /// The other form of a challenge's rest; "" beside parameters.
  std::string token68;
  /// Names in lower case, each once; values without quotes and escapes.
  std::vector<std::pair<std::string, std::string>> parameters;

  /// Nothing when there is no such parameter; `name` in lower case.
  [[nodiscard]] std::optional<std::string> Parameter(std::string_view name) const;
};

/// All challenges of one WWW-Authenticate header's value, in its order. INVALID_ARGUMENT for what
/// the RFC's grammar does not know, except that a value without quotes may hold any visible
/// character but quote and comma, as registries send URLs so; and for more than 16 challenges or
/// parameters of one.
absl::StatusOr<std::vector<Challenge>> ParseChallenges(std::string_view header);

}  // namespace eagle::registry
