#pragma once

namespace eagle::plugin::testing {

/// A program that poses as eagle-sidecar and means harm; a fake for tests, which says so when it
/// starts:
///
///   <test binary> --hostile-sidecar PLAY SOCKET CACHE_DIR
///
/// It gives up root before it listens, and owns the cache, as a sidecar that was taken over would.
/// What it manages to do to a file that it has handed over it reports as "BROKE IN".
int RunHostileSidecar(int argc, char** argv);

}  // namespace eagle::plugin::testing
