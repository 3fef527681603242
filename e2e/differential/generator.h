#pragma once

#include <cstdint>

#include "e2e/differential/operation.h"

namespace eagle::differential {

/// What the calls go to: containerd, which has namespaces, labels and a garbage collector in front
/// of its store, or a store's own socket.
enum class Surface { kContainerd, kStore };

inline constexpr int kStreams = 3;

/// How many namespaces a sequence uses.
constexpr int Spaces(Surface surface) {
  return surface == Surface::kContainerd ? 2 : 1;
}

/// The sequence of this seed, the same on every machine: blobs written whole, in part, wrongly and
/// again, streams that are closed, killed and resumed, and questions in between.
Sequence Generate(std::uint64_t seed, Surface surface);

}  // namespace eagle::differential
