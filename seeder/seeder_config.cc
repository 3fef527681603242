#include "seeder/seeder_config.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "lib/base/endpoint.h"
#include "lib/config/reader.h"
#include "lib/registry/blob_url.h"
#include "lib/registry/manifest.h"

namespace eagle::seeder {
namespace {

using config::Section;

bool IsIpAddress(const std::string& text) {
  in6_addr ignored;
  return ::inet_pton(AF_INET, text.c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

void CheckEndpoint(Section& section, std::string_view key, const std::string& text) {
  if (const auto endpoint = base::Endpoint::Parse(text); !endpoint.ok()) {
    section.Problem(key, std::string(base::Message(endpoint.status())));
  }
}

void CheckPositive(Section& section, std::string_view key, std::chrono::milliseconds value) {
  if (value < std::chrono::milliseconds(1) || value > std::chrono::hours(1)) {
    section.Problem(key, "must be from 1ms to 1h");
  }
}

void ReadSeeders(Section& root, SeederConfig* out) {
  root.Strings("seeders", &out->seeders);
  root.String("self", &out->self);
  for (const std::string& seeder : out->seeders) CheckEndpoint(root, "seeders", seeder);
  const bool listed =
      std::find(out->seeders.begin(), out->seeders.end(), out->self) != out->seeders.end();
  if (!out->seeders.empty() && !listed) {
    root.Problem("self", "must be one of `seeders`, written the same way");
  }
}

void ReadTrackers(Section& root, SeederConfig* out) {
  root.Strings("trackers", &out->trackers);
  if (out->trackers.empty()) {
    root.Problem("trackers",
                 "give the announce URL of at least one tracker, for instance "
                 "http://eagle-tracker:6969/announce");
  }
  for (const std::string& tracker : out->trackers) {
    if (!tracker.starts_with("udp://") && !registry::HttpUrl::Parse(tracker).ok()) {
      root.Problem("trackers", fmt::format("\"{}\" must be an http, https or udp URL", tracker));
    }
  }
}

void ReadBittorrent(Section& section, BittorrentConfig* out) {
  section.String("listen_address", &out->listen_address);
  section.Port("port", &out->port);
  section.String("announce_address", &out->announce_address);
  section.Rate("upload_limit", &out->upload_limit);
  section.Rate("download_limit", &out->download_limit);
  section.Strings("peer_cidrs", &out->peer_cidrs);
  if (!IsIpAddress(out->listen_address)) {
    section.Problem("listen_address", "must be an IP address, for instance 0.0.0.0");
  }
  if (!out->announce_address.empty() && !IsIpAddress(out->announce_address)) {
    section.Problem("announce_address", "must be an IP address or \"\"");
  }
}

void ReadStorage(Section& section, StorageConfig* out) {
  section.Size("limit", &out->limit);
  section.Size("max_layer_size", &out->max_layer_size);
  section.Map("backend", [&](Section& map) {
    StorageBackendConfig& backend = out->backend;
    map.String("name", &backend.name);
    map.StringMap("options", &backend.options);
    if (backend.name != "fs" && backend.name != "s3" && !backend.name.starts_with("/")) {
      map.Problem("name", "must be fs, s3 or a shared object's absolute path");
    }
  });
  if (out->limit.bytes <= 0) section.Problem("limit", "must be more than 0");
  if (out->max_layer_size.bytes <= 0) section.Problem("max_layer_size", "must be more than 0");
}

bool IsRedirectHost(std::string_view host) {
  if (host == "*") return true;
  if (host.starts_with("*.")) host.remove_prefix(2);
  return registry::IsHostName(host) || IsIpAddress(std::string(host));
}

// An URL of scheme, host and port only.
std::optional<registry::HttpUrl> ReadEndpoint(Section& section, std::string_view key,
                                              const std::string& text) {
  const auto url = registry::HttpUrl::Parse(text);
  if (!url.ok()) {
    section.Problem(key, std::string(base::Message(url.status())));
    return std::nullopt;
  }
  if (url->target != "/") {
    section.Problem(key, "must be scheme, host and port only (https://host:port)");
  }
  return *url;
}

void CheckPath(Section& section, std::string_view key, const std::string& path) {
  if (!path.empty() && !path.starts_with("/")) section.Problem(key, "must be an absolute path");
}

void ReadCredentials(Section& section, registry::CredentialSource* out) {
  section.String("username", &out->username);
  section.String("password_file", &out->password_file);
  section.String("docker_config", &out->docker_config);
  CheckPath(section, "password_file", out->password_file);
  CheckPath(section, "docker_config", out->docker_config);
  if (out->username.empty() != out->password_file.empty()) {
    section.Problem("username", "username and password_file belong together");
  }
  if (out->username.find(':') != std::string::npos) {
    section.Problem("username", "must not have a colon");
  }
}

void ReadTls(Section& section, registry::TlsFiles* out) {
  section.String("ca_file", &out->ca_file);
  section.String("certificate_file", &out->certificate_file);
  section.String("key_file", &out->key_file);
  CheckPath(section, "ca_file", out->ca_file);
  CheckPath(section, "certificate_file", out->certificate_file);
  CheckPath(section, "key_file", out->key_file);
  if (out->certificate_file.empty() != out->key_file.empty()) {
    section.Problem("certificate_file", "certificate_file and key_file belong together");
  }
}

void ReadHosts(Section& section, registry::Origin* out) {
  section.Strings("redirect_hosts", &out->redirect_hosts);
  section.Strings("token_hosts", &out->token_hosts);
  for (const std::string& host : out->redirect_hosts) {
    if (IsRedirectHost(host)) continue;
    section.Problem("redirect_hosts",
                    fmt::format("\"{}\" must be a host name without port, *.domain or *", host));
  }
  for (const std::string& host : out->token_hosts) {
    if (registry::IsHostName(host) || IsIpAddress(host)) continue;
    section.Problem("token_hosts", fmt::format("\"{}\" must be a host name without port", host));
  }
}

void ReadLimits(Section& section, registry::Origin* out) {
  std::int64_t connections = out->max_connections;
  std::int64_t per_layer = out->connections_per_layer;
  section.Int("max_connections", &connections, 0, 10'000);
  section.Int("connections_per_layer", &per_layer, 1, 16);
  section.Rate("rate_limit", &out->rate_limit);
  out->max_connections = static_cast<int>(connections);
  out->connections_per_layer = static_cast<int>(per_layer);
}

void ReadRegistry(const std::string& name, Section& section, SeederConfig* out) {
  registry::Origin origin = registry::Origin::Default(name);
  std::string endpoint = origin.endpoint.origin();
  std::vector<std::string> mirrors;
  section.String("endpoint", &endpoint);
  section.Strings("mirrors", &mirrors);
  // Where a registry that is listed may send us is for the operator to say.
  if (!origin.listed) origin.redirect_hosts.clear();
  origin.listed = true;
  ReadHosts(section, &origin);
  section.Map("credentials", [&](Section& map) { ReadCredentials(map, &origin.credentials); });
  section.Map("tls", [&](Section& map) { ReadTls(map, &origin.tls); });
  ReadLimits(section, &origin);
  if (!registry::IsHostName(name)) {
    section.Problem("", "the registry's name must be a host name without scheme and port");
    return;
  }
  for (const std::string& mirror : mirrors) {
    if (const auto url = ReadEndpoint(section, "mirrors", mirror)) origin.mirrors.push_back(*url);
  }
  const auto url = ReadEndpoint(section, "endpoint", endpoint);
  if (!url) return;
  origin.endpoint = *url;
  out->origins[origin.name] = origin;
}

void ReadOrigin(Section& section, OriginConfig* out) {
  section.Duration("connect_timeout", &out->connect_timeout);
  section.Duration("stall_timeout", &out->stall_timeout);
  section.Int("attempts", &out->attempts, 1, 100);
  CheckPositive(section, "connect_timeout", out->connect_timeout);
  CheckPositive(section, "stall_timeout", out->stall_timeout);
}

void ReadPreheat(Section& section, PreheatConfig* out) {
  section.Strings("platforms", &out->platforms);
  section.Int("queue", &out->queue, 1, 100'000);
  if (out->platforms.empty()) section.Problem("platforms", "name at least one, as linux/amd64");
  for (const std::string& text : out->platforms) {
    const auto platform = registry::Platform::Parse(text);
    if (!platform.ok()) section.Problem("platforms", std::string(base::Message(platform.status())));
  }
}

void ReadNotifications(Section& section, NotificationsConfig* out) {
  section.String("listen", &out->listen);
  section.String("secret_file", &out->secret_file);
  section.String("username", &out->username);
  section.String("password_file", &out->password_file);
  CheckPath(section, "secret_file", out->secret_file);
  CheckPath(section, "password_file", out->password_file);
  if (out->username.empty() != out->password_file.empty()) {
    section.Problem("username", "username and password_file belong together");
  }
  if (out->listen.empty()) return;
  CheckEndpoint(section, "listen", out->listen);
  if (out->secret_file.empty() && out->username.empty()) {
    section.Problem("listen", "needs a secret_file, or a username and password_file");
  }
}

}  // namespace

absl::StatusOr<SeederConfig> LoadConfig(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(auto document, config::Document::Load(path));
  SeederConfig config;
  Section root = document.Root();
  root.String("listen", &config.listen);
  CheckEndpoint(root, "listen", config.listen);
  root.String("admin_listen", &config.admin_listen);
  if (!config.admin_listen.empty() && !config.admin_listen.starts_with("unix:/")) {
    CheckEndpoint(root, "admin_listen", config.admin_listen);
  }
  root.String("data_dir", &config.data_dir);
  if (!config.data_dir.starts_with("/")) root.Problem("data_dir", "must be an absolute path");
  ReadSeeders(root, &config);
  ReadTrackers(root, &config);
  root.Map("bittorrent", [&](Section& section) { ReadBittorrent(section, &config.bittorrent); });
  root.Map("storage", [&](Section& section) { ReadStorage(section, &config.storage); });
  root.Table("origins", [&](const std::string& name, Section& section) {
    ReadRegistry(name, section, &config);
  });
  root.Bool("allow_unlisted_origins", &config.allow_unlisted_origins);
  root.String("docker_config", &config.docker_config);
  CheckPath(root, "docker_config", config.docker_config);
  root.Map("origin", [&](Section& section) { ReadOrigin(section, &config.origin); });
  root.Map("preheat", [&](Section& section) { ReadPreheat(section, &config.preheat); });
  root.Map("notifications",
           [&](Section& section) { ReadNotifications(section, &config.notifications); });
  root.Map("metrics", [&](Section& section) {
    section.String("listen", &config.metrics_listen);
    if (!config.metrics_listen.empty()) CheckEndpoint(section, "listen", config.metrics_listen);
  });
  root.Enum("log_level", &config.log_level, {"debug", "info", "warn", "error"});
  EAGLE_RETURN_IF_ERROR(document.Finish());
  return config;
}

}  // namespace eagle::seeder
