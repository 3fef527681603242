#include "lib/process/run.h"
#include "plugin/apply/apply_worker.h"
#include "plugin/plugin_app.h"
#include "plugin/plugin_config.h"

int main(int argc, char** argv) {
  if (const auto code = eagle::apply::RunApplyWorker(argc, argv)) return *code;
  eagle::plugin::PluginConfig config;
  return eagle::process::Run(
      argc, argv,
      {.name = "eagle-plugin",
       .description = "containerd's content store, with layers from other nodes",
       .load = [&config](const std::string& path) -> absl::Status {
         EAGLE_ASSIGN_OR_RETURN(config, eagle::plugin::LoadConfig(path));
         return absl::OkStatus();
       },
       .start = [&config]() -> absl::StatusOr<std::unique_ptr<eagle::process::App>> {
         return eagle::plugin::PluginApp::Start(config);
       }});
}
