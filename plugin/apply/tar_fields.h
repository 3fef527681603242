#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "plugin/apply/tar_entry.h"

namespace eagle::apply {

/// Largest pax, long name or sparse map record that is read; Go's archive/tar has the same limit.
inline constexpr std::int64_t kMaxMetaBytes = 1 << 20;

/// A header field up to its first NUL.
std::string_view CString(std::string_view field);

/// A number of a header: octal, or two's complement big-endian when the first bit is set (GNU).
/// False when it is neither or does not fit.
bool ParseNumeric(std::string_view field, std::int64_t* out);

/// Octal digits between any number of spaces and NULs; an empty field is 0.
bool ParseOctal(std::string_view field, std::int64_t* out);

/// Decimal with an optional sign, nothing around it.
bool ParseDecimal(std::string_view text, std::int64_t* out);

/// "1350244992.023960108"; digits beyond nanoseconds are dropped.
bool ParsePaxTime(std::string_view text, TarTime* out);

using PaxRecords = std::map<std::string, std::string, std::less<>>;

/// Records of a pax extended header ("<length> <key>=<value>\n", POSIX.1-2001), the last of equal
/// keys wins. The records of GNU's sparse format 0.0 become one of format 0.1.
absl::StatusOr<PaxRecords> ParsePaxRecords(std::string_view data);

}  // namespace eagle::apply
