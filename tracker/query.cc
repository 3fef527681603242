#include "tracker/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace eagle::tracker {
namespace {

constexpr std::size_t kMaxParameters = 512;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool Decode(std::string_view text, std::string* out) {
  out->reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::vector<QueryParameter>> ParseQuery(std::string_view query) {
  std::vector<QueryParameter> parameters;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    if (parameters.size() == kMaxParameters) {
      return absl::InvalidArgumentError(
          fmt::format("the query has more than {} parameters", kMaxParameters));
    }
    const std::size_t equals = part.find('=');
    QueryParameter parameter;
    const bool decoded =
        Decode(part.substr(0, equals), &parameter.key) &&
        (equals == std::string_view::npos || Decode(part.substr(equals + 1), &parameter.value));
    if (!decoded) {
      return absl::InvalidArgumentError(
          "the query has a \"%\" that is not followed by two hex digits");
    }
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

}  // namespace eagle::tracker
