#pragma once

#include <cstdint>
#include <string>

#include "cli/containerd_host.h"
#include "lib/base/status.h"

namespace eagle::cli {

/// What `eaglectl config render` is asked for.
struct RenderOptions {
  /// "1.6", "1.7", "2.x", "k3s" or "rke2"
  std::string target;
  /// Of the plugin.
  std::string socket = "/run/eagle/plugin.sock";
  /// Whether the plugin shall unpack layers too, where containerd can do that.
  bool apply = true;
  /// 0: that of the host's main file.
  std::int64_t config_version = 0;
  /// "": that of the host's CRI.
  std::string snapshotter = "";
};

struct Rendered {
  /// The drop-in.
  std::string text;
  /// Where it belongs.
  std::string path;
  /// What else has to be done, one thing a line.
  std::string todo;
};

/// The drop-in that makes this host's containerd use Eagle. Its `version` is the number that is
/// written in the main file: with a higher one containerd 2.3 does not start. FAILED_PRECONDITION,
/// and what to do, when the host's own configuration stands against it.
absl::StatusOr<Rendered> RenderConfig(const ContainerdHost& host, const RenderOptions& options);

}  // namespace eagle::cli
