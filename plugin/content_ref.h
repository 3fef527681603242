#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/digest.h"

namespace eagle::plugin {

/// What a Write ref says of the content, when containerd's pull made it:
/// "<namespace>/<sequence number>/<kind>-sha256:<hex>".
struct ContentRef {
  enum class Kind { kLayer, kManifest, kIndex, kOther };
  Kind kind = Kind::kOther;
  /// Never empty, never with a '/'. Goes into the metadata of calls to containerd.
  std::string containerd_namespace;
  base::Digest digest;
};

/// nullopt for every ref of another form; those are stored like any and never intercepted.
std::optional<ContentRef> ParseContentRef(std::string_view ref);

}  // namespace eagle::plugin
