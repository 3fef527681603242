#pragma once

#include <string_view>
#include <vector>

#include "plugin/policy.h"

namespace eagle::plugin {

/// The sources that one label of a manifest names: containerd.io/distribution.source.<registry> =
/// <repository>[,<repository>...]. Empty for other labels; what is no host or repository name is
/// left out.
std::vector<LayerSource> ParseSourceLabel(std::string_view key, std::string_view value);

}  // namespace eagle::plugin
