#include "lib/process/flags.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "lib/observe/build_info.h"

namespace eagle::process {

std::optional<Flags> ParseFlags(int argc, char** argv, const std::string& program,
                                const std::string& description, int* exit_code) {
  Flags flags;
  CLI::App app(description, program);
  app.add_option("--config", flags.config_path, "YAML configuration file")
      ->type_name("FILE")
      ->required();
  app.add_flag("--check-config", flags.check_config, "read the configuration, report, end");
  app.set_version_flag("--version", observe::VersionLine(program));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    *exit_code = app.exit(e, std::cout, std::cerr);
    return std::nullopt;
  }
  return flags;
}

}  // namespace eagle::process
