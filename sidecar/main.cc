#include "lib/observe/log.h"
#include "lib/process/run.h"
#include "sidecar/sidecar_app.h"
#include "sidecar/sidecar_config.h"

int main(int argc, char** argv) {
  using eagle::sidecar::SidecarApp;
  eagle::sidecar::SidecarConfig config;
  return eagle::process::Run(
      argc, argv,
      {.name = "eagle-sidecar",
       .description = "This node's BitTorrent peer: gets layers from the swarm and seeds them.",
       .load =
           [&config](const std::string& path) {
             auto loaded = eagle::sidecar::LoadConfig(path);
             if (loaded.ok()) config = *std::move(loaded);
             return loaded.status();
           },
       .start = [&config]() -> absl::StatusOr<std::unique_ptr<eagle::process::App>> {
         const auto level = eagle::observe::ParseLevel(config.log_level);
         if (!level.ok()) return level.status();
         eagle::observe::InitLog("sidecar", *level);
         return SidecarApp::Start(config);
       }});
}
