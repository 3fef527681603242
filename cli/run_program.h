#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace eagle::cli {

struct ProgramOutput {
  int exit_code = -1;
  std::string out;
  std::string error;
};

/// Runs a program to its end, with no input, and returns what it said (at most 16 MiB of each).
/// With a `root` other than "/" it runs chrooted there. NOT_FOUND when it cannot be executed,
/// DEADLINE_EXCEEDED (it is killed then) when it does not end in time. Call before the process has
/// threads: it forks.
absl::StatusOr<ProgramOutput> RunProgram(const std::vector<std::string>& argv,
                                         const std::string& root = "/",
                                         std::chrono::seconds patience = std::chrono::seconds(10));

}  // namespace eagle::cli
