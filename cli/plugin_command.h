#pragma once

#include <string>

namespace eagle::cli {

/// Where the plugin listens, and how long to wait for it.
struct PluginCall {
  std::string socket = "/run/eagle/plugin.sock";
  bool json = false;
};

/// Each asks the running plugin, prints what it did and returns the exit code: 0, or 1 with the
/// reason on stderr.
int P2pStatus(const PluginCall& call);
/// 1 also when the switch is in force but could not be kept for the next start.
int P2pSwitch(const PluginCall& call, bool on, const std::string& reason);
int Reload(const PluginCall& call);

}  // namespace eagle::cli
