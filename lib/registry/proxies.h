#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/registry/http_url.h"

namespace eagle::registry {

/// Which proxy a URL is fetched through, as the environment says: HTTPS_PROXY, HTTP_PROXY and
/// NO_PROXY, also in lower case, which is preferred (but only http_proxy counts: HTTP_PROXY may
/// come from a CGI request's header). Immutable.
class Proxies {
 public:
  /// No proxy at all.
  Proxies() = default;
  /// Value of a variable, "" when it is not set.
  using Variable = std::function<std::string(const std::string& name)>;
  static Proxies FromEnvironment(const Variable& variable);
  /// This process' own.
  static Proxies FromEnvironment();

  /// As curl understands it, possibly with a user name and password: never for logs. "" is none:
  /// hosts that NO_PROXY lists ("*", host, .domain, address, CIDR, each with or without ":port"),
  /// and loopback.
  [[nodiscard]] std::string For(const HttpUrl& url) const;

 private:
  [[nodiscard]] bool IsExempt(const HttpUrl& url) const;

  std::string http_;
  std::string https_;
  std::vector<std::string> exempt_;
};

}  // namespace eagle::registry
