#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "lib/base/status.h"

namespace eagle::cli {

/// Whether somebody accepts TCP connections there: the name is resolved (/etc/hosts, DNS; without
/// the host's libraries, so not by NSS modules) and one of its addresses dialled. UNAVAILABLE says
/// at which of the two it failed. Blocks for at most about twice `patience`.
absl::Status ReachTcp(const std::string& host, std::uint16_t port,
                      std::chrono::milliseconds patience);

/// Whether a gRPC server on a unix socket says that it serves (grpc.health.v1).
absl::Status ReachUnixServer(const std::string& path, std::chrono::milliseconds patience);

}  // namespace eagle::cli
