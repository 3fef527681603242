#pragma once

#include <functional>
#include <string>

#include "lib/base/status.h"

namespace eagle::plugin {

/// Calls `visit` for every entry of a folder but "." and "..", with a descriptor of the folder for
/// the *at() calls, until it returns false. NOT_FOUND when there is no such folder.
absl::Status ForEachEntry(const std::string& folder,
                          const std::function<bool(int folder_fd, const char* name)>& visit);

}  // namespace eagle::plugin
