#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "lib/process/flags.h"

namespace eagle::process {

/// A running program. Its destructor stops everything in the reverse order of the start. The
/// methods are called on the main thread.
class App {
 public:
  virtual ~App() = default;

  /// SIGHUP: reads the configuration again and takes over what can change in a running program, all
  /// or nothing.
  virtual absl::Status Reload();

  /// Whether the program still does its work, found out within `patience`. Asked for the service
  /// manager's watchdog, which ends a program that is not OK for long; so only what a restart would
  /// mend belongs here.
  virtual absl::Status CheckAlive(std::chrono::milliseconds patience);
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
/// sd_notify STOPPING, ordered stop. Meanwhile SIGHUP reloads, and with a watchdog (WATCHDOG_USEC)
/// CheckAlive() is asked three times in its period and sd_notify WATCHDOG sent while it is OK.
/// Returns the exit code: 0, 1 (failed to start) or 2 (bad flags or configuration). A second signal
/// during the stop ends the process at once.
int Run(int argc, char** argv, const Program& program);

}  // namespace eagle::process
