#include "lib/registry/origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

constexpr std::string_view kAnyHost = "*";

bool IsBelow(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return false;
  const std::string suffix = ToLower(pattern.substr(1));
  return host.size() > suffix.size() && host.ends_with(suffix);
}

}  // namespace

Reach ReachOf(const Origin& origin, const HttpUrl& url) {
  if (url.host == origin.endpoint.host) {
    // Off TLS, the registry's own name proves nothing about who answers.
    if (origin.endpoint.tls && !url.tls) return Reach::kNowhere;
    return origin.listed ? Reach::kAnywhere : Reach::kPublicAndPrivate;
  }
  Reach reach = Reach::kNowhere;
  for (const std::string& pattern : origin.redirect_hosts) {
    if (ToLower(pattern) == url.host) return Reach::kAnywhere;
    if (IsBelow(pattern, url.host)) reach = Reach::kPublicAndPrivate;
    if (pattern == kAnyHost) reach = std::max(reach, Reach::kPublic);
  }
  return origin.endpoint.tls && !url.tls ? Reach::kNowhere : reach;
}

bool Allows(Reach reach, AddressClass address_class) {
  switch (reach) {
    case Reach::kNowhere:
      return false;
    case Reach::kPublic:
      return address_class == AddressClass::kPublic;
    case Reach::kPublicAndPrivate:
      return address_class != AddressClass::kLocal;
    case Reach::kAnywhere:
      return true;
  }
  return false;
}

OriginTable::OriginTable(bool allow_unlisted) : allow_unlisted_(allow_unlisted) {
  // The name in images is not the host of the registry, which sends layers off to its CDN.
  Set("docker.io", {{true, "registry-1.docker.io", 443, "/"}, {"*"}, true});
}

void OriginTable::Set(const std::string& registry, Origin origin) {
  origins_[ToLower(registry)] = std::move(origin);
}

absl::StatusOr<Origin> OriginTable::Find(const std::string& registry) const {
  if (const auto it = origins_.find(ToLower(registry)); it != origins_.end()) return it->second;
  if (!allow_unlisted_) {
    return absl::PermissionDeniedError(fmt::format(
        "registry {} is not in the seeder's `origins`, and allow_unlisted_origins is off",
        registry));
  }
  return Origin{{true, ToLower(registry), 443, "/"}, {"*"}, false};
}

}  // namespace eagle::registry
