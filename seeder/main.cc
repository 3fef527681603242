#include "lib/observe/log.h"
#include "lib/process/run.h"
#include "seeder/seeder_app.h"
#include "seeder/seeder_config.h"

int main(int argc, char** argv) {
  using eagle::seeder::SeederApp;
  using eagle::seeder::SeederConfig;
  SeederConfig config;
  return eagle::process::Run(
      argc, argv,
      {.name = "eagle-seeder",
       .description = "Fetches each layer once from its registry and is its first uploader",
       .load = [&](const std::string& path) -> absl::Status {
         EAGLE_ASSIGN_OR_RETURN(config, eagle::seeder::LoadConfig(path));
         EAGLE_ASSIGN_OR_RETURN(const auto level, eagle::observe::ParseLevel(config.log_level));
         eagle::observe::InitLog("seeder", level);
         return absl::OkStatus();
       },
       .start = [&]() -> absl::StatusOr<std::unique_ptr<eagle::process::App>> {
         return SeederApp::Start(config);
       }});
}
