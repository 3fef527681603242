#include "cli/eagle_config.h"

#include <string_view>

#include "lib/config/reader.h"

namespace eagle::cli {

absl::StatusOr<PluginSettings> LoadPluginSettings(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(config::Document document, config::Document::Load(path));
  PluginSettings settings;
  config::Section root = document.Root();
  root.String("listen", &settings.listen);
  root.String("containerd_address", &settings.containerd_address);
  root.String("root", &settings.root);
  root.String("cache_dir", &settings.cache_dir);
  root.String("sidecar_address", &settings.sidecar_address);
  root.String("state_dir", &settings.state_dir);
  return settings;
}

absl::StatusOr<SidecarSettings> LoadSidecarSettings(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(config::Document document, config::Document::Load(path));
  SidecarSettings settings;
  config::Section root = document.Root();
  root.String("cache_dir", &settings.cache_dir);
  root.Strings("seeders", &settings.seeders);
  root.Strings("trackers", &settings.trackers);
  return settings;
}

std::string UnixPath(const std::string& address) {
  constexpr std::string_view kPrefix = "unix:";
  return address.starts_with(kPrefix) ? address.substr(kPrefix.size()) : address;
}

}  // namespace eagle::cli
