#pragma once

#include <optional>
#include <string>

namespace eagle::process {

/// The command line that every program of ours has.
struct Flags {
  /// --config FILE
  std::string config_path;
  /// --check-config: read the configuration, report every problem, end.
  bool check_config = false;
};

/// Parses it. When the process should end instead (--version, --help, a bad flag), the answer has
/// been printed and `*exit_code` is set.
std::optional<Flags> ParseFlags(int argc, char** argv, const std::string& program,
                                const std::string& description, int* exit_code);

}  // namespace eagle::process
