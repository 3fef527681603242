#pragma once

#include <string>

#include "cli/containerd_host.h"
#include "cli/eagle_config.h"
#include "cli/report.h"

namespace eagle::cli {

struct DoctorOptions {
  HostOptions host;
  /// As seen below the root.
  std::string plugin_config = "/etc/eagle/plugin.yaml";
  std::string sidecar_config = "/etc/eagle/sidecar.yaml";
  /// Asks nothing that runs: no socket, no network. For an image that is being made.
  bool offline = false;
};

/// What is wrong with Eagle on a host, with the remedy for each. Works with nothing running and
/// never changes anything. Blocks, for some seconds where something does not answer.
Report RunDoctor(const DoctorOptions& options);

// The groups of checks, each in a source of its own.
struct Patient {
  const DoctorOptions& options;
  const ContainerdHost& host;
  PluginSettings plugin = {};
  /// Whether containerd's configuration has Eagle for its store.
  bool eagle_configured = false;
};
void CheckContainerd(Patient& patient, Report* report);
void CheckInstallation(const Patient& patient, Report* report);
void CheckPlugin(const Patient& patient, Report* report);
void CheckDisk(const Patient& patient, Report* report);
void CheckPeers(const Patient& patient, Report* report);

}  // namespace eagle::cli
