#include "plugin/filter.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "plugin/filter_parser.h"

namespace eagle::plugin {
namespace {

constexpr std::size_t kMaxExpressions = 256;
constexpr std::size_t kMaxExpressionBytes = 16 << 10;
constexpr std::int64_t kMaxRegexMemory = 1 << 20;

}  // namespace

struct Filter::Selector {
  FilterCondition condition;
  // Only for "~=".
  std::unique_ptr<RE2> regex;

  [[nodiscard]] bool Holds(const Fields& fields) const {
    const std::optional<std::string> value = fields(condition.path);
    switch (condition.op) {
      case FilterOperator::kPresent:
        return value.has_value();
      case FilterOperator::kEqual:
        return value == condition.value;
      case FilterOperator::kNotEqual:
        return value.value_or("") != condition.value;
      case FilterOperator::kMatches:
        return regex->ok() && RE2::PartialMatch(value.value_or(""), *regex);
    }
    return false;
  }
};

Filter::Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

absl::StatusOr<Filter> Filter::Parse(const std::vector<std::string>& expressions) {
  if (expressions.size() > kMaxExpressions) {
    return absl::InvalidArgumentError(
        fmt::format("filters: {} expressions; at most {}", expressions.size(), kMaxExpressions));
  }
  Filter filter;
  for (const std::string& expression : expressions) {
    if (expression.size() > kMaxExpressionBytes) {
      return absl::InvalidArgumentError(
          fmt::format("filters: an expression has more than {} bytes", kMaxExpressionBytes));
    }
    Selectors& selectors = filter.alternatives_.emplace_back();
    if (expression.empty()) continue;
    EAGLE_ASSIGN_OR_RETURN(std::vector<FilterCondition> conditions,
                           ParseFilterExpression(expression));
    for (FilterCondition& condition : conditions) {
      Selector& selector = selectors.emplace_back();
      if (condition.op == FilterOperator::kMatches) {
        RE2::Options options(RE2::Quiet);
        options.set_max_mem(kMaxRegexMemory);
        selector.regex = std::make_unique<RE2>(condition.value, options);
      }
      selector.condition = std::move(condition);
    }
  }
  return filter;
}

bool Filter::Matches(const Fields& fields) const {
  const auto all_hold = [&](const Selectors& selectors) {
    return std::all_of(selectors.begin(), selectors.end(),
                       [&](const Selector& selector) { return selector.Holds(fields); });
  };
  return alternatives_.empty() || std::any_of(alternatives_.begin(), alternatives_.end(), all_hold);
}

}  // namespace eagle::plugin
