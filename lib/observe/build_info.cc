#include "lib/observe/build_info.h"

namespace eagle::observe {

std::string_view Version() {
  return EAGLE_VERSION;
}

std::string VersionLine(std::string_view program) {
  return std::string(program) + " " + std::string(Version());
}

}  // namespace eagle::observe
