#pragma once

#include <sys/stat.h>

#include <array>
#include <string>

#include "lib/base/status.h"
#include "plugin/apply/cancellation.h"
#include "plugin/apply/file_finisher.h"
#include "plugin/apply/parent_dirs.h"
#include "plugin/apply/root_dir.h"
#include "plugin/apply/tar_entry.h"
#include "plugin/apply/tar_reader.h"

namespace eagle::apply {

/// Access and modification time as an entry has them on disk: the access time is never before the
/// modification time; what no file system can hold (before 1970, after 2262) becomes 1970-01-01.
std::array<timespec, 2> TimesOnDisk(const TarEntry& entry);

/// Makes what an entry describes, under a name in a directory; what has the name before is removed
/// with all below it, unless both are directories. Follows no link. Not thread-safe.
class EntryWriter {
 public:
  EntryWriter(const RootDir& root, ParentDirs& parents, FileFinisher& finisher,
              const Cancellation& cancellation)
      : root_(root), parents_(parents), finisher_(finisher), cancellation_(cancellation) {}

  /// Reads the data of a file from `tar`, which is at `entry`. A small file may still be on its way
  /// through the finisher afterwards, which has its errors. INVALID_ARGUMENT for a type that no
  /// layer may have.
  absl::Status Write(const ParentDirs::Dir& dir, const std::string& base, const TarEntry& entry,
                     TarReader& tar);

  /// Extended attributes that the file system, or containerd's rules, do not allow.
  [[nodiscard]] std::int64_t ignored_xattrs() const { return ignored_xattrs_; }

 private:
  // Where the entry goes.
  struct Place {
    int dir;
    const std::string& base;
  };

  absl::StatusOr<std::string> SmallContent(const TarEntry& entry, TarReader& tar);
  absl::Status WriteFile(const Place& place, const TarEntry& entry, TarReader& tar);
  absl::Status MakeDirectory(const Place& place, const TarEntry& entry);
  absl::Status MakeNode(const Place& place, const TarEntry& entry);
  absl::Status MakeSymlink(const Place& place, const TarEntry& entry);
  absl::Status MakeHardLink(const Place& place, const TarEntry& entry);
  absl::Status TryHardLink(const Place& place, const TarEntry& entry, int* error);
  absl::Status RemoveExisting(const Place& place);
  template <typename Make>
  absl::StatusOr<int> Replacing(const Place& place, std::string_view what, Make make);
  absl::Status CopyData(int fd, const TarEntry& entry, TarReader& tar);
  absl::Status SetMetadata(const Place& place, const TarEntry& entry, mode_t type);
  absl::Status SetXattrs(const Place& place, int file, const TarEntry& entry, mode_t type);

  const RootDir& root_;
  ParentDirs& parents_;
  FileFinisher& finisher_;
  const Cancellation& cancellation_;
  std::int64_t ignored_xattrs_ = 0;
};

}  // namespace eagle::apply
