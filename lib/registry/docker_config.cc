#include "lib/registry/docker_config.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

using Json = nlohmann::json;

constexpr std::ptrdiff_t kMaxWildcards = 4;
constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubServer = "https://index.docker.io/v1/";

std::string Text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// "user:password" in base64; docker pads with NULs.
bool ReadAuth(const std::string& auth, Credential* out) {
  std::string plain;
  if (!absl::Base64Unescape(auth, &plain)) return false;
  const std::size_t colon = plain.find(':');
  if (colon == std::string::npos) return false;
  out->username = plain.substr(0, colon);
  out->password = plain.substr(colon + 1);
  while (out->password.ends_with('\0')) out->password.pop_back();
  return true;
}

Credential ReadEntry(const Json& object) {
  Credential credential;
  if (!object.is_object()) return credential;
  credential.refresh_token = Text(object, "identitytoken");
  credential.registry_token = Text(object, "registrytoken");
  credential.username = Text(object, "username");
  credential.password = Text(object, "password");
  if (const std::string auth = Text(object, "auth"); !auth.empty()) ReadAuth(auth, &credential);
  return credential;
}

// "*" stands for any run of characters of one label.
bool LabelMatches(std::string_view pattern, std::string_view label) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == label;
  if (label.substr(0, star) != pattern.substr(0, star) || label.size() < star) return false;
  label.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (std::size_t skip = 0; skip <= label.size(); ++skip) {
    if (LabelMatches(pattern, label.substr(skip))) return true;
  }
  return false;
}

bool HostMatches(std::string_view pattern, std::string_view host) {
  while (true) {
    const std::size_t pattern_end = pattern.find('.');
    const std::size_t host_end = host.find('.');
    if (!LabelMatches(pattern.substr(0, pattern_end), host.substr(0, host_end))) return false;
    if (pattern_end == std::string_view::npos || host_end == std::string_view::npos) {
      return pattern_end == host_end;
    }
    pattern.remove_prefix(pattern_end + 1);
    host.remove_prefix(host_end + 1);
  }
}

bool IsPlain(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
}

}  // namespace

std::optional<DockerConfig::Key> DockerConfig::ParseKey(const std::string& text) {
  Key key;
  key.text = text;
  std::string_view rest = text;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  const std::size_t slash = rest.find('/');
  std::string_view host = rest.substr(0, slash);
  if (slash != std::string_view::npos) key.path = rest.substr(slash + 1);
  while (key.path.ends_with('/')) key.path.pop_back();
  // The API's path is none of a repository.
  if (key.path == "v1" || key.path == "v2") key.path.clear();
  if (const std::size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    const std::string_view port = host.substr(colon + 1);
    const auto parsed = std::from_chars(port.data(), port.data() + port.size(), key.port);
    if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size()) return std::nullopt;
    host = host.substr(0, colon);
  }
  key.host = ToLower(host);
  if (key.host.empty() || key.host.size() > 253 ||
      std::count(key.host.begin(), key.host.end(), '*') > kMaxWildcards) {
    return std::nullopt;
  }
  if (key.host == "index.docker.io") key.host = kDockerHub;
  return key;
}

bool DockerConfig::Matches(const Key& key, const CredentialQuery& query) {
  const bool port = key.port == query.port || (key.port == 0 && query.is_default_port);
  if (!port || !HostMatches(key.host, query.host)) return false;
  return key.path.empty() || query.repository == key.path ||
         query.repository.starts_with(key.path + "/");
}

absl::StatusOr<DockerConfig> DockerConfig::Parse(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return absl::InvalidArgumentError("not a docker config.json");
  DockerConfig config;
  if (const auto auths = json.find("auths"); auths != json.end() && auths->is_object()) {
    for (const auto& [name, value] : auths->items()) {
      const auto key = ParseKey(name);
      Credential credential = ReadEntry(value);
      if (key && !credential.empty()) config.entries_.push_back({*key, std::move(credential)});
    }
  }
  if (const auto helpers = json.find("credHelpers");
      helpers != json.end() && helpers->is_object()) {
    for (const auto& [name, value] : helpers->items()) {
      const auto key = ParseKey(name);
      if (!key || !value.is_string() || !IsPlain(value.get<std::string>())) continue;
      config.helpers_.push_back({*key, value.get<std::string>()});
    }
  }
  config.store_ = Text(json, "credsStore");
  if (!IsPlain(config.store_)) config.store_.clear();
  const auto rank = [](const auto& entry) {
    return std::tuple(-static_cast<std::ptrdiff_t>(entry.key.path.size()),
                      entry.key.host.find('*') != std::string::npos);
  };
  const auto better = [&](const auto& a, const auto& b) { return rank(a) < rank(b); };
  std::stable_sort(config.entries_.begin(), config.entries_.end(), better);
  std::stable_sort(config.helpers_.begin(), config.helpers_.end(), better);
  return config;
}

std::optional<Credential> DockerConfig::Find(const CredentialQuery& query) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return Matches(entry.key, query); });
  if (it == entries_.end()) return std::nullopt;
  return it->credential;
}

std::optional<DockerConfig::Helper> DockerConfig::FindHelper(const CredentialQuery& query) const {
  const auto it = std::find_if(helpers_.begin(), helpers_.end(),
                               [&](const HelperEntry& entry) { return Matches(entry.key, query); });
  if (it != helpers_.end()) return Helper{it->name, it->key.text};
  if (store_.empty()) return std::nullopt;
  if (query.host == kDockerHub) return Helper{store_, std::string(kDockerHubServer)};
  const bool bare = query.port == 0 || query.is_default_port;
  return Helper{store_, bare ? query.host : query.host + ":" + std::to_string(query.port)};
}

}  // namespace eagle::registry
