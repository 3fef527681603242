#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"
#include "lib/registry/address_class.h"
#include "lib/registry/http_url.h"

namespace eagle::registry {

/// PEM files of a TLS client, read for each connection; "" is none.
struct TlsFiles {
  /// Certificates of authorities, beside those of the system.
  std::string ca_file;
  /// The client's own.
  std::string certificate_file;
  std::string key_file;
};

/// Who the seeder is at a registry. Without any it is nobody.
struct CredentialSource {
  std::string username;
  /// The password is the file's first line.
  std::string password_file;
  /// A docker config.json; it is looked into when there is no `username`.
  std::string docker_config;
};

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
  /// As images call it; credentials are also looked for under this name.
  std::string name;
  /// Asked before the endpoint, in this order. Scheme, host and port only.
  std::vector<HttpUrl> mirrors;
  /// Hosts that may be sent the credentials for a token, beside the endpoint's own.
  std::vector<std::string> token_hosts;
  /// The client's certificate is shown to the endpoint and the mirrors only.
  TlsFiles tls;
  CredentialSource credentials;
  /// Requests at a time, mirrors and redirects included; 0 is unlimited.
  int max_connections = 32;
  /// Of all of them together.
  base::ByteRate rate_limit;
  /// Ranges of one large layer that are fetched at a time.
  int connections_per_layer = 4;
  /// Whether `endpoint` is one of a mirror: then only credentials of that host are used.
  bool is_mirror = false;

  /// What a registry is without an entry in the table: "docker.io" is known, every other one is at
  /// https://<name> and may redirect to public addresses.
  static Origin Default(const std::string& registry);
  /// The same, with a mirror in the place of the endpoint.
  [[nodiscard]] Origin AtMirror(const HttpUrl& mirror) const;
};

/// What a connection to a host may reach, from least to most.
enum class Reach { kNowhere, kPublic, kPublicAndPrivate, kAnywhere };

/// What `origin` allows for a request to `url`. kNowhere: that host is not allowed at all.
Reach ReachOf(const Origin& origin, const HttpUrl& url);
/// The files that a connection to `url` uses: the client's own certificate is the endpoint's only.
TlsFiles TlsFor(const Origin& origin, const HttpUrl& url);
/// Where a token may be asked for that `origin` wants.
struct TokenReach {
  Reach reach = Reach::kNowhere;
  /// Whether the credentials may be shown there.
  bool with_credentials = false;
};
/// Own host and `token_hosts`: with credentials. A host that a redirect may lead to: anonymously.
TokenReach TokenReachOf(const Origin& origin, const HttpUrl& realm);
/// Whether a connection to an address of that class is allowed.
bool Allows(Reach reach, AddressClass address_class);

/// The `origins:` of a seeder: registries by the name that images call them.
class OriginTable {
 public:
  /// `allow_unlisted`: a registry that is not in the table, and is not docker.io, is reached as
  /// Origin::Default() says.
  explicit OriginTable(bool allow_unlisted) : allow_unlisted_(allow_unlisted) {}

  /// Credentials and limits of registries that are not in the table.
  void SetUnlisted(const Origin& unlisted) { unlisted_ = unlisted; }
  void Set(const std::string& registry, Origin origin);
  /// PERMISSION_DENIED when the registry is not listed and has to be.
  [[nodiscard]] absl::StatusOr<Origin> Find(const std::string& registry) const;

 private:
  bool allow_unlisted_;
  Origin unlisted_;
  std::map<std::string, Origin, std::less<>> origins_;
};

}  // namespace eagle::registry
