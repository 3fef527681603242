#include "lib/observe/log.h"
#include "lib/process/run.h"
#include "tracker/tracker_app.h"
#include "tracker/tracker_config.h"

int main(int argc, char** argv) {
  using eagle::tracker::TrackerApp;
  using eagle::tracker::TrackerConfig;
  TrackerConfig config;
  return eagle::process::Run(
      argc, argv,
      {.name = "eagle-tracker",
       .description = "BitTorrent tracker of Eagle: tells peers of each other",
       .load = [&](const std::string& path) -> absl::Status {
         EAGLE_ASSIGN_OR_RETURN(config, eagle::tracker::LoadConfig(path));
         EAGLE_ASSIGN_OR_RETURN(const auto level, eagle::observe::ParseLevel(config.log_level));
         eagle::observe::InitLog("tracker", level);
         return absl::OkStatus();
       },
       .start = [&]() -> absl::StatusOr<std::unique_ptr<eagle::process::App>> {
         return TrackerApp::Start(config);
       }});
}
