#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"
#include "lib/registry/origin.h"

namespace eagle::seeder {

struct BittorrentConfig {
  std::string listen_address = "0.0.0.0";
  std::uint16_t port = 61008;
  std::string announce_address;
  base::ByteRate upload_limit{50 << 20};
  base::ByteRate download_limit{50 << 20};
  std::vector<std::string> peer_cidrs;
};

/// What keeps layers for good (ssi/backends.h).
struct StorageBackendConfig {
  std::string name = "fs";
  std::map<std::string, std::string> options;
};

struct StorageConfig {
  base::ByteSize limit = base::TiB(1);
  base::ByteSize max_layer_size = base::GiB(64);
  StorageBackendConfig backend;
};

struct OriginConfig {
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(5);
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);
  std::int64_t attempts = 5;
};

struct PreheatConfig {
  /// "os/architecture[/variant]", of an index.
  std::vector<std::string> platforms = {"linux/amd64", "linux/arm64"};
  /// Images that may wait.
  std::int64_t queue = 256;
};

struct NotificationsConfig {
  /// "" is off.
  std::string listen;
  std::string secret_file;
  std::string username;
  std::string password_file;
};

/// The seeder's settings; config.example.yaml explains each.
struct SeederConfig {
  std::string listen = "0.0.0.0:55008";
  /// eagle.seeder.v1; "" is a unix socket in `data_dir`.
  std::string admin_listen;
  std::string data_dir = "/var/lib/eagle-seeder";
  std::vector<std::string> seeders;
  std::string self;
  std::vector<std::string> trackers;
  BittorrentConfig bittorrent;
  StorageConfig storage;
  /// By the registry's name, in lower case.
  std::map<std::string, registry::Origin> origins;
  bool allow_unlisted_origins = true;
  /// For registries without `credentials` of their own; "" is none.
  std::string docker_config;
  OriginConfig origin;
  PreheatConfig preheat;
  NotificationsConfig notifications;
  std::string metrics_listen = "0.0.0.0:61012";
  std::string log_level = "info";
};

/// INVALID_ARGUMENT with every problem of the file, one a line.
absl::StatusOr<SeederConfig> LoadConfig(const std::string& path);

}  // namespace eagle::seeder
