#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::base {

/// "host:port", "1.2.3.4:80" or "[::1]:80". The host is not resolved.
struct Endpoint {
  /// Without brackets.
  std::string host;
  std::uint16_t port = 0;

  static absl::StatusOr<Endpoint> Parse(std::string_view text);
  /// With brackets around an IPv6 address.
  [[nodiscard]] std::string str() const;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace eagle::base
