#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/docker_config.h"

namespace eagle::registry {

/// Asks "docker-credential-<name> get" for the credentials of a server (the protocol of docker's
/// credential helpers: the server's name on stdin, JSON on stdout). The program is looked for in
/// PATH and started without a shell. Blocks; after `timeout`, when cancelled, or when it writes
/// more than 64 KiB, the helper and what it started are killed. Nothing when the helper knows no
/// such server; UNAVAILABLE with the program's name, never with its output, when it fails.
absl::StatusOr<std::optional<Credential>> AskCredentialHelper(const DockerConfig::Helper& helper,
                                                              std::chrono::milliseconds timeout,
                                                              const Cancellation& cancellation);

}  // namespace eagle::registry
