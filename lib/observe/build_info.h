#pragma once

#include <string>
#include <string_view>

namespace eagle::observe {

/// "0.1.0"
std::string_view Version();

/// The line that --version prints: "eagle-seeder 0.1.0".
std::string VersionLine(std::string_view program);

}  // namespace eagle::observe
