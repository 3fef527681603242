#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace eagle::tracker {

/// One `key=value` of a query, percent-decoded (RFC 3986 section 2.1); the bytes may be anything.
struct QueryParameter {
  std::string key;
  std::string value;
};

/// Splits what follows "?" in a request target. "+" is a space, as HTML forms write it: BitTorrent
/// clients escape both, scripts rely on it. A key without "=" has the value ""; empty parts are
/// skipped. INVALID_ARGUMENT on a broken "%" and beyond 512 parameters.
absl::StatusOr<std::vector<QueryParameter>> ParseQuery(std::string_view query);

}  // namespace eagle::tracker
