#pragma once

#include <string>
#include <vector>

#include "cli/seeder_command.h"

namespace eagle::cli {

struct PreheatCall {
  std::string image;
  std::vector<std::string> platforms;
  bool wait = false;
  /// Where a seeder serves eagle.seeder.v1; one is enough, whichever owns the layers.
  std::string address = kSeederAdmin;
  bool json = false;
};

/// Has a seeder fetch an image's layers. With `wait`, until they are there: a bar on a terminal,
/// plain lines elsewhere, and with `json` only the last state. The exit code: 0 when queued (or
/// there), 1 with the reason on stderr.
int Preheat(const PreheatCall& call);

}  // namespace eagle::cli
