#include "lib/base/endpoint.h"

#include <fmt/format.h>

#include <charconv>

namespace eagle::base {

absl::StatusOr<Endpoint> Endpoint::Parse(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(fmt::format(
      "\"{}\" must be host:port, for instance 10.0.0.1:6969 or [::1]:6969", text.substr(0, 200)));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.size() < 4) return bad;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad;
  }
  Endpoint endpoint;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (error != std::errc() || end != port.data() + port.size() || port.empty()) return bad;
  endpoint.host = host;
  return endpoint;
}

std::string Endpoint::str() const {
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

}  // namespace eagle::base
