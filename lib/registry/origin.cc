#include "lib/registry/origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

constexpr std::string_view kAnyHost = "*";
constexpr std::string_view kDockerHub = "docker.io";

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

TlsFiles TlsFor(const Origin& origin, const HttpUrl& url) {
  if (url.host == origin.endpoint.host) return origin.tls;
  return {origin.tls.ca_file, "", ""};
}

TokenReach TokenReachOf(const Origin& origin, const HttpUrl& realm) {
  if (origin.endpoint.tls && !realm.tls) return {};
  if (realm.host == origin.endpoint.host) return {ReachOf(origin, realm), true};
  for (const std::string& host : origin.token_hosts) {
    if (ToLower(host) == realm.host) return {Reach::kAnywhere, true};
  }
  return {ReachOf(origin, realm), false};
}

Origin Origin::AtMirror(const HttpUrl& mirror) const {
  Origin origin = *this;
  origin.endpoint = mirror;
  origin.is_mirror = true;
  return origin;
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

Origin Origin::Default(const std::string& registry) {
  Origin origin;
  origin.name = ToLower(registry);
  origin.endpoint = {true, origin.name, 443, "/"};
  origin.redirect_hosts = {"*"};
  origin.listed = origin.name == kDockerHub;
  if (origin.listed) {
    // The name in images is not the host of the registry, which sends layers off to its CDN.
    origin.endpoint.host = "registry-1.docker.io";
    origin.token_hosts = {"auth.docker.io"};
  }
  return origin;
}

void OriginTable::Set(const std::string& registry, Origin origin) {
  origins_[ToLower(registry)] = std::move(origin);
}

absl::StatusOr<Origin> OriginTable::Find(const std::string& registry) const {
  if (const auto it = origins_.find(ToLower(registry)); it != origins_.end()) return it->second;
  Origin origin = Origin::Default(registry);
  if (!origin.listed && !allow_unlisted_) {
    return absl::PermissionDeniedError(fmt::format(
        "registry {} is not in the seeder's `origins`, and allow_unlisted_origins is off",
        registry));
  }
  origin.credentials = unlisted_.credentials;
  origin.max_connections = unlisted_.max_connections;
  origin.rate_limit = unlisted_.rate_limit;
  origin.connections_per_layer = unlisted_.connections_per_layer;
  return origin;
}

}  // namespace eagle::registry
