#pragma once

namespace eagle::cli {

/// eaglectl: reads the arguments, does what they say, returns the exit code.
int RunCommandLine(int argc, char** argv);

}  // namespace eagle::cli
