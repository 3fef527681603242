#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace eagle::cli {

/// Where a distribution keeps containerd and what belongs to it.
struct Flavor {
  /// "containerd", "k3s", "rke2"
  std::string name;
  /// systemd units that run it.
  std::vector<std::string> units;
  /// Main configuration file.
  std::string config;
  /// Folders that a main file of version 2, and of version 3 and later, may import.
  std::string drop_ins_v2;
  std::string drop_ins_v3;
  std::string containerd_root;
  std::string socket;
  std::vector<std::string> binaries;
  /// k3s and rke2 write the main file anew at each start, from this template if there is one; for a
  /// file of version 2, and of version 3 and later.
  std::string template_v2;
  std::string template_v3;
};

/// All of them; the plain one first.
const std::vector<Flavor>& Flavors();

/// The one of that name. INVALID_ARGUMENT names those there are.
absl::StatusOr<Flavor> FlavorOf(std::string_view name);

/// The one whose main configuration is below `root`, else the plain one.
Flavor DetectFlavor(const std::string& root);

/// Name of Eagle's drop-in, and of the same one taken out of use by the guard.
inline constexpr std::string_view kDropInName = "50-eagle.toml";
inline constexpr std::string_view kDropInOffName = "50-eagle.toml.off";

}  // namespace eagle::cli
