#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace eagle::plugin {

enum class FilterOperator { kPresent, kEqual, kNotEqual, kMatches };

/// One condition of a filter expression, as written.
struct FilterCondition {
  std::vector<std::string> path;
  FilterOperator op = FilterOperator::kPresent;
  std::string value;
};

/// The conditions of one expression (grammar in filter.h); INVALID_ARGUMENT names the position.
absl::StatusOr<std::vector<FilterCondition>> ParseFilterExpression(std::string_view expression);

}  // namespace eagle::plugin
