#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::sidecar {

/// What config.example.yaml describes; the defaults are here and nowhere else.
struct SidecarConfig {
  struct BitTorrent {
    std::string listen_address = "0.0.0.0";
    std::uint16_t port = 61007;
    base::ByteRate upload_limit{50 << 20};
    base::ByteRate download_limit{50 << 20};
    std::vector<std::string> peer_cidrs;
  };
  struct Cache {
    base::ByteSize limit = base::GiB(100);
    /// The second of these is in hundredths of the file system; one of them is 0.
    base::ByteSize min_free{};
    int min_free_percent = 20;
  };
  struct P2p {
    std::chrono::milliseconds stall_timeout{5000};
    std::int64_t max_transfers = 16;
  };

  std::string listen = "unix:/run/eagle/sidecar/node.sock";
  std::string cache_dir = "/var/lib/containerd/eagle";
  /// No defaults: these are addresses.
  std::vector<std::string> seeders;
  std::vector<std::string> trackers;
  BitTorrent bittorrent;
  Cache cache;
  P2p p2p;
  std::string metrics_listen = "127.0.0.1:61011";
  std::string log_level = "info";
};

/// Every problem of the file at once.
absl::StatusOr<SidecarConfig> LoadConfig(const std::string& path);

}  // namespace eagle::sidecar
