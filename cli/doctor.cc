#include "cli/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "cli/run_program.h"

namespace eagle::cli {
namespace {

constexpr std::array<const char*, 3> kPluginPrograms{
    "/usr/local/bin/eagle-plugin", "/usr/bin/eagle-plugin", "/opt/eagle/current/eagle-plugin"};

std::string FindPluginProgram(const ContainerdHost& host) {
  for (const char* path : kPluginPrograms) {
    if (::access(host.At(path).c_str(), X_OK) == 0) return path;
  }
  return "";
}

// The program itself knows best what is wrong with its file.
void CheckPluginConfig(const Patient& patient, const std::string& program,
                       const absl::Status& loaded, Report* report) {
  const std::string check = "plugin-config";
  const std::string& path = patient.options.plugin_config;
  if (absl::IsNotFound(loaded)) {
    report->Warn(check, path + " is not there",
                 "make one of plugin/config.example.yaml; the plugin needs it to start");
    return;
  }
  if (!loaded.ok()) {
    report->Fail(check, std::string(base::Message(loaded)), "mend the file; eaglectl reload");
    return;
  }
  if (!program.empty()) {
    const auto checked =
        RunProgram({program, "--check-config", "--config", path}, patient.host.options().root);
    if (checked.ok() && checked->exit_code != 0) {
      report->Fail(check, checked->error.substr(0, checked->error.find_last_not_of('\n') + 1),
                   "mend the file; eaglectl reload");
      return;
    }
  }
  report->Ok(check, path);
}

}  // namespace

Report RunDoctor(const DoctorOptions& options) {
  Report report;
  const ContainerdHost host = ContainerdHost::Look(options.host);
  Patient patient{.options = options, .host = host};
  const auto settings = LoadPluginSettings(host.At(options.plugin_config));
  if (settings.ok()) patient.plugin = *settings;
  const std::string program = FindPluginProgram(host);

  CheckContainerd(patient, &report);
  if (program.empty()) {
    const std::string remedy = "install it, or take the drop-in away and restart containerd";
    patient.eagle_configured ? report.Fail("plugin-program", "eagle-plugin is not there", remedy)
                             : report.Warn("plugin-program", "eagle-plugin is not there", remedy);
  } else {
    report.Ok("plugin-program", program);
  }
  CheckPluginConfig(patient, program, settings.status(), &report);
  CheckInstallation(patient, &report);
  CheckDisk(patient, &report);
  // These start threads, so whatever forks came before them.
  if (!options.offline) {
    CheckPlugin(patient, &report);
    CheckPeers(patient, &report);
  }
  return report;
}

}  // namespace eagle::cli
