#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "plugin/apply/root_dir.h"

namespace eagle::apply {

/// The layers below the one that is unpacked: a directory that has to be made for an entry takes
/// its owner, mode, times and attributes from the first of them that has it. Not thread-safe.
class LowerDirs {
 public:
  /// Absolute paths, the topmost layer first. They are opened when first asked; one that is missing
  /// is left out.
  explicit LowerDirs(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  /// `rooted` is where `directory`, open for reading, is in its layer. Does nothing when no layer
  /// has it, or the first that does has no directory there.
  absl::Status CopyUp(std::string_view rooted, int directory);

 private:
  // Null for a layer that is missing.
  absl::StatusOr<const RootDir*> Layer(const std::string& path);

  std::vector<std::string> paths_;
  std::map<std::string, RootDir> open_;
};

}  // namespace eagle::apply
