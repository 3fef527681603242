#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "lib/process/flags.h"

namespace eagle::process {

/// A running program. Its destructor stops everything in the reverse order of the start.
class App {
 public:
  virtual ~App() = default;
};

/// What main() hands over: how to read the configuration and start from it.
struct Program {
  /// "eagle-seeder"
  std::string name;
  std::string description;
  /// Reads and checks the configuration; starts nothing.
  std::function<absl::Status(const std::string& config_path)> load;
  /// Starts everything from what `load` read.
  std::function<absl::StatusOr<std::unique_ptr<App>>()> start;
};

/// The life of a program: flags, configuration, start, sd_notify READY, wait for SIGTERM or SIGINT,
/// sd_notify STOPPING, ordered stop. Returns the exit code: 0, 1 (failed to start) or 2 (bad flags
/// or configuration). A second signal during the stop ends the process at once.
int Run(int argc, char** argv, const Program& program);

}  // namespace eagle::process
