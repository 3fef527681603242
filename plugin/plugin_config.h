#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::plugin {

/// What config.example.yaml documents; the values here are the defaults.
struct PluginConfig {
  std::string listen = "unix:/run/eagle/plugin.sock";
  std::string containerd_address = "unix:/run/containerd/containerd.sock";
  std::string root = "/var/lib/containerd/io.containerd.content.v1.content";
  std::string cache_dir = "/var/lib/containerd/eagle";
  std::string sidecar_address = "unix:/run/eagle/sidecar/node.sock";
  struct P2p {
    bool enabled = true;
    base::ByteSize min_size = base::MiB(1);
    std::chrono::milliseconds stall_timeout{5000};
    std::chrono::milliseconds budget{6000};
    std::chrono::milliseconds sidecar_timeout{1000};
    base::ByteRate min_rate{32 << 10};
    std::vector<std::string> allow;
    std::vector<std::string> deny;
  } p2p;
  std::string state_dir = "/var/lib/eagle";
  std::string metrics_listen = "127.0.0.1:61010";
  std::string log_level = "info";
  /// The file it was read from; not a key of it.
  std::string path;
};

/// As it is written in the file: "5s", "250ms".
std::string DurationText(std::chrono::milliseconds duration);

absl::StatusOr<PluginConfig> LoadConfig(const std::string& path);

}  // namespace eagle::plugin
