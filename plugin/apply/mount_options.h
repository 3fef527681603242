#pragma once

#include <string>
#include <vector>

#include "lib/base/status.h"

namespace eagle::apply {

/// As containerd describes a mount to an applier.
struct Mount {
  std::string type;
  std::string source;
  /// A folder below where the set is mounted.
  std::string target = "";
  std::vector<std::string> options = {};
};

/// Arguments of mount(2).
struct MountArguments {
  unsigned long flags = 0;
  std::string data;
  /// The source is a file that has to be made a block device first.
  bool loop = false;
};

/// Sorts options in the style of fstab into flags and what the file system gets; options that
/// forbid a second mount of an overlay (volatile) are left out. UNIMPLEMENTED for what this applier
/// leaves to others: FUSE helpers, ID mappings, options and types of containerd's mount manager,
/// more data than a page.
absl::StatusOr<MountArguments> ParseMount(const Mount& mount);

}  // namespace eagle::apply
