#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::tracker {

struct AnnounceConfig {
  std::chrono::milliseconds min_interval = std::chrono::seconds(5);
  std::chrono::milliseconds max_interval = std::chrono::minutes(5);
  std::chrono::milliseconds peer_timeout = std::chrono::minutes(12);
  std::int64_t default_peers = 50;
  std::int64_t max_peers = 200;
};

struct LimitsConfig {
  std::int64_t swarms = 100'000;
  std::int64_t peers_per_swarm = 50'000;
  std::int64_t peers = 2'000'000;
  std::int64_t connections = 10'000;
  base::ByteSize request_size = base::KiB(8);
};

/// The tracker's settings; config.example.yaml explains each.
struct TrackerConfig {
  std::string listen = "0.0.0.0:6969";
  AnnounceConfig announce;
  LimitsConfig limits;
  std::string policy = "random";
  std::vector<std::string> trusted_cidrs;
  std::int64_t threads = 0;
  std::string metrics_listen = "0.0.0.0:61013";
  std::string log_level = "info";
};

/// INVALID_ARGUMENT with every problem of the file, one a line.
absl::StatusOr<TrackerConfig> LoadConfig(const std::string& path);

}  // namespace eagle::tracker
