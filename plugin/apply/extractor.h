#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "plugin/apply/cancellation.h"
#include "plugin/apply/entry_writer.h"
#include "plugin/apply/file_finisher.h"
#include "plugin/apply/lower_dirs.h"
#include "plugin/apply/parent_dirs.h"
#include "plugin/apply/root_dir.h"
#include "plugin/apply/tar_reader.h"
#include "plugin/apply/whiteouts.h"

namespace eagle::apply {

struct ExtractOptions {
  WhiteoutFormat whiteouts = WhiteoutFormat::kRemove;
  /// See LowerDirs.
  std::vector<std::string> lower_dirs = {};
  /// In a user namespace devices can not be made and are left out.
  bool in_user_namespace = false;
  /// More entries than this are RESOURCE_EXHAUSTED.
  std::int64_t max_entries = 20'000'000;
};

/// What the caller may want to log.
struct ExtractReport {
  std::int64_t entries = 0;
  std::int64_t ignored_xattrs = 0;
  std::int64_t skipped_devices = 0;
};

/// Unpacks layers as containerd's applier does, file for file (README.md has the rules). Nothing
/// outside of the root is touched, whatever names and links the archive has. Blocks; not
/// thread-safe; what it is given must outlive it. After an error the tree is part of the layer.
class Extractor {
 public:
  Extractor(const RootDir& root, ExtractOptions options, const Cancellation& cancellation);

  /// Unpacks all entries. Errors name the entry; CANCELLED when cancelled.
  absl::Status Extract(TarReader& tar);

  [[nodiscard]] ExtractReport report() const;

 private:
  struct DirectoryTimes {
    std::string path;
    std::array<timespec, 2> times;
  };

  absl::Status ExtractEntries(TarReader& tar);
  absl::Status ExtractEntry(const TarEntry& entry, TarReader& tar);
  absl::Status SetDirectoryTimes(const DirectoryTimes& directory);

  const RootDir& root_;
  ExtractOptions options_;
  const Cancellation& cancellation_;
  LowerDirs lower_;
  ParentDirs parents_;
  Whiteouts whiteouts_;
  FileFinisher finisher_;
  EntryWriter writer_;
  std::vector<DirectoryTimes> directories_;
  ExtractReport report_;
};

}  // namespace eagle::apply
