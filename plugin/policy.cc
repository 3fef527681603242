#include "plugin/policy.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <utility>

namespace eagle::plugin {
namespace {

using Regexes = std::vector<std::unique_ptr<RE2>>;

absl::StatusOr<Regexes> Compile(const std::vector<std::string>& patterns, std::string_view list) {
  Regexes out;
  for (const std::string& pattern : patterns) {
    out.push_back(std::make_unique<RE2>(pattern, RE2::Quiet));
    if (!out.back()->ok()) {
      return absl::InvalidArgumentError(fmt::format("{}: \"{}\" is not a regular expression: {}",
                                                    list, pattern, out.back()->error()));
    }
  }
  return out;
}

bool AnyMatches(const Regexes& regexes, const std::string& text) {
  return std::any_of(regexes.begin(), regexes.end(),
                     [&](const auto& regex) { return RE2::FullMatch(text, *regex); });
}

}  // namespace

struct Policy::Rules {
  Regexes allow;
  Regexes deny;
};

Policy::Policy(std::unique_ptr<Rules> rules) : rules_(std::move(rules)) {}
Policy::Policy(Policy&&) noexcept = default;
Policy& Policy::operator=(Policy&&) noexcept = default;
Policy::~Policy() = default;

absl::StatusOr<Policy> Policy::Create(const std::vector<std::string>& allow,
                                      const std::vector<std::string>& deny) {
  auto rules = std::make_unique<Rules>();
  EAGLE_ASSIGN_OR_RETURN(rules->allow, Compile(allow, "allow"));
  EAGLE_ASSIGN_OR_RETURN(rules->deny, Compile(deny, "deny"));
  return Policy(std::move(rules));
}

bool Policy::Allows(const LayerSource& source) const {
  const std::string name = source.registry + "/" + source.repository;
  return (rules_->allow.empty() || AnyMatches(rules_->allow, name)) &&
         !AnyMatches(rules_->deny, name);
}

}  // namespace eagle::plugin
