#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace eagle::apply {

/// Removes `name` in the directory `dir` and all below it; follows no link, needs a few descriptors
/// and no stack however deep it goes. Answers the file type (S_IFMT bits) of what was there, 0 when
/// nothing was.
absl::StatusOr<mode_t> RemoveTree(int dir, const std::string& name);

/// Names in a directory but "." and "..", in no order. `dir` is consumed.
absl::StatusOr<std::vector<std::string>> ListDirectory(base::UniqueFd dir);

}  // namespace eagle::apply
