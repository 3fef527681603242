#pragma once

#include <chrono>
#include <string>

#include "lib/base/status.h"

namespace eagle::plugin {

/// The path that a listening unix socket is bound to; "" for one without.
std::string BoundPath(int fd);

/// Connects to the plugin's own socket as containerd does and has a call answered: accepting, gRPC,
/// our services and the locks of the layers are at work. The disk is not asked, since a restart
/// would not make it faster. OK, too, when nothing is at `path`: then nobody can connect, and a
/// restart would not change that. Blocks for at most `patience`.
absl::Status CallOwnSocket(const std::string& path, std::chrono::milliseconds patience);

}  // namespace eagle::plugin
