#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace eagle::apply {

/// Seconds and nanoseconds since the epoch; nanoseconds are 0 to 999'999'999.
struct TarTime {
  std::int64_t seconds = 0;
  std::int32_t nanoseconds = 0;
};

/// Type flags of tar headers (POSIX.1-2001, pax; GNU tar manual).
inline constexpr char kTypeFile = '0';
inline constexpr char kTypeHardLink = '1';
inline constexpr char kTypeSymlink = '2';
inline constexpr char kTypeCharDevice = '3';
inline constexpr char kTypeBlockDevice = '4';
inline constexpr char kTypeDirectory = '5';
inline constexpr char kTypeFifo = '6';
inline constexpr char kTypePaxHeader = 'x';
inline constexpr char kTypeGlobalHeader = 'g';
inline constexpr char kTypeGnuLongName = 'L';
inline constexpr char kTypeGnuLongLink = 'K';
inline constexpr char kTypeGnuSparse = 'S';

/// One entry of an archive, with what pax and GNU headers before it say merged in. Nothing in it is
/// checked against the file system: names may lead anywhere, numbers may be negative.
struct TarEntry {
  /// One of the type flags above but for pax, long name and long link headers; or an unknown one.
  char type = kTypeFile;
  std::string name;
  std::string link_name;
  /// Bytes of the file once extracted, holes of a sparse one included.
  std::int64_t size = 0;
  std::int64_t mode = 0;
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  TarTime mtime;
  std::optional<TarTime> atime;
  std::int64_t device_major = 0;
  std::int64_t device_minor = 0;
  /// Extended attributes by name (pax records SCHILY.xattr.*), values as they are.
  std::map<std::string, std::string> xattrs;
};

}  // namespace eagle::apply
