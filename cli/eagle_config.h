#pragma once

#include <string>
#include <vector>

#include "lib/base/status.h"

namespace eagle::cli {

/// What a diagnosis needs of the plugin's configuration; whether the file is right as a whole is
/// for `eagle-plugin --check-config` to say. The defaults are those of plugin/config.example.yaml
/// (a test holds them together).
struct PluginSettings {
  std::string listen = "unix:/run/eagle/plugin.sock";
  std::string containerd_address = "unix:/run/containerd/containerd.sock";
  std::string root = "/var/lib/containerd/io.containerd.content.v1.content";
  std::string cache_dir = "/var/lib/containerd/eagle";
  std::string sidecar_address = "unix:/run/eagle/sidecar/node.sock";
  std::string state_dir = "/var/lib/eagle";
};

/// The same for the sidecar.
struct SidecarSettings {
  std::string cache_dir = "/var/lib/containerd/eagle";
  std::vector<std::string> seeders;
  std::vector<std::string> trackers;
};

/// NOT_FOUND when there is no such file, INVALID_ARGUMENT when it is no YAML.
absl::StatusOr<PluginSettings> LoadPluginSettings(const std::string& path);
absl::StatusOr<SidecarSettings> LoadSidecarSettings(const std::string& path);

/// "/path" of "unix:/path".
std::string UnixPath(const std::string& address);

}  // namespace eagle::cli
