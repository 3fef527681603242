#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"

namespace eagle::process {

/// Sends `state` to the service manager as sd_notify(3) does ("READY=1"). Does nothing when
/// NOTIFY_SOCKET is not set; failures are ignored, as the manager has its own time-out.
void NotifySystemd(std::string_view state);

/// What to notify when a reload begins; "READY=1" ends it.
std::string ReloadingState();

/// How long the service manager waits for a "WATCHDOG=1" (sd_watchdog_enabled(3): WATCHDOG_USEC,
/// WATCHDOG_PID); nullopt when it does not.
std::optional<std::chrono::milliseconds> WatchdogTimeout();

/// The listening sockets that systemd passed (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS), in the
/// order of the socket unit, close-on-exec; empty when there are none. Call at most once.
std::vector<base::UniqueFd> TakeListenFds();

}  // namespace eagle::process
