#include "cli/command_line.h"

int main(int argc, char** argv) {
  return eagle::cli::RunCommandLine(argc, argv);
}
