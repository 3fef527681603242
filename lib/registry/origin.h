#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "lib/registry/address_class.h"
#include "lib/registry/http_url.h"

namespace eagle::registry {

/// Where a registry is reached, and where it may send us.
struct Origin {
  /// Only scheme, host and port are used.
  HttpUrl endpoint;
  /// Hosts that it may redirect to, beside its own: a name in full (whatever its address),
  /// "*.example.com" for all below example.com (public or private addresses), "*" for every host
  /// with a public address. From https to http only where the host is named in full.
  std::vector<std::string> redirect_hosts;
  /// Whether the operator named this registry. One that a node named may be on the site's networks,
  /// but not on this host or link-local.
  bool listed = true;
};

/// What a connection to a host may reach, from least to most.
enum class Reach { kNowhere, kPublic, kPublicAndPrivate, kAnywhere };

/// What `origin` allows for a request to `url`. kNowhere: that host is not allowed at all.
Reach ReachOf(const Origin& origin, const HttpUrl& url);
/// Whether a connection to an address of that class is allowed.
bool Allows(Reach reach, AddressClass address_class);

/// The `origins:` of a seeder: registries by the name that images call them.
class OriginTable {
 public:
  /// "docker.io" is there from the start and may be set to something else. `allow_unlisted`: a
  /// registry that is not in the table is reached at https://<name>.
  explicit OriginTable(bool allow_unlisted);

  void Set(const std::string& registry, Origin origin);
  /// PERMISSION_DENIED when the registry is not listed and has to be.
  [[nodiscard]] absl::StatusOr<Origin> Find(const std::string& registry) const;

 private:
  bool allow_unlisted_;
  std::map<std::string, Origin, std::less<>> origins_;
};

}  // namespace eagle::registry
