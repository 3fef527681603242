#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::registry {

/// An http or https URL in its parts (RFC 3986). Never with user name, password or fragment.
struct HttpUrl {
  bool tls = false;
  /// Lower case; an IPv6 address without brackets.
  std::string host;
  std::uint16_t port = 0;
  /// Path and query, beginning with "/".
  std::string target = "/";

  /// INVALID_ARGUMENT for anything but an absolute http or https URL of at most 8 KiB.
  static absl::StatusOr<HttpUrl> Parse(std::string_view text);
  /// What a Location header means in the answer to this URL (RFC 9110, 10.2.2).
  [[nodiscard]] absl::StatusOr<HttpUrl> Resolve(std::string_view location) const;

  [[nodiscard]] std::string str() const;
  /// Without the target, which may hold a signature: for logs and errors.
  [[nodiscard]] std::string origin() const;

  friend bool operator==(const HttpUrl&, const HttpUrl&) = default;
};

}  // namespace eagle::registry
