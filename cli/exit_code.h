#pragma once

namespace eagle::cli {

// What eaglectl ends with, but for `doctor`, whose codes are the verdict (Report::exit_code()).
inline constexpr int kDone = 0;
/// It did not work, or something bad was found.
inline constexpr int kFailed = 1;
/// As sysexits.h: the command line is wrong.
inline constexpr int kUsage = 64;

}  // namespace eagle::cli
