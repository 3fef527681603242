#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace eagle::registry {

/// What proves to a registry who one is: one of the three, or nothing. Never logged.
struct Credential {
  std::string username;
  std::string password;
  /// An OAuth2 refresh token, which buys access tokens ("identitytoken").
  std::string refresh_token;
  /// Sent to the registry as it is ("registrytoken").
  std::string registry_token;

  [[nodiscard]] bool empty() const {
    return username.empty() && password.empty() && refresh_token.empty() && registry_token.empty();
  }
  friend bool operator==(const Credential&, const Credential&) = default;
};

/// Whose credentials are looked for.
struct CredentialQuery {
  /// Lower case.
  std::string host;
  /// "host:5000" is another registry than "host". 0: a name without a port.
  std::uint16_t port = 0;
  /// Whether `host` without a port means this one too.
  bool is_default_port = false;
  std::string repository;
};

/// A docker config.json, which is also what Kubernetes keeps in secrets of the type
/// kubernetes.io/dockerconfigjson.
class DockerConfig {
 public:
  /// INVALID_ARGUMENT without any of the text in its message. Entries that are not understood are
  /// left out.
  static absl::StatusOr<DockerConfig> Parse(std::string_view text);

  /// Of `auths`. Keys are "host", "host:port", either with "/path" (which must begin the
  /// repository) and with "*" in a label, as the kubelet has it; "https://host/v1/" is "host", and
  /// "index.docker.io" is "docker.io". The longest path wins, then a name without "*".
  [[nodiscard]] std::optional<Credential> Find(const CredentialQuery& query) const;

  struct Helper {
    /// The program is "docker-credential-<name>".
    std::string name;
    /// What it is asked for.
    std::string server;
  };
  /// Of `credHelpers` (the key as for Find()), else `credsStore`.
  [[nodiscard]] std::optional<Helper> FindHelper(const CredentialQuery& query) const;

 private:
  struct Key {
    std::string text;
    std::string host;
    std::uint16_t port = 0;
    std::string path;
  };
  struct Entry {
    Key key;
    Credential credential;
  };
  struct HelperEntry {
    Key key;
    std::string name;
  };
  static std::optional<Key> ParseKey(const std::string& text);
  static bool Matches(const Key& key, const CredentialQuery& query);

  std::vector<Entry> entries_;
  std::vector<HelperEntry> helpers_;
  std::string store_;
};

}  // namespace eagle::registry
