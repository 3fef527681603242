#pragma once

#include <optional>

namespace eagle::apply {

/// The argument with which a program starts as a worker.
inline constexpr char kWorkerArgument[] = "apply-worker";
/// Descriptors that the worker inherits: the socket to its parent and the blob.
inline constexpr int kWorkerSocket = 3;
inline constexpr int kWorkerBlob = 4;

/// Runs one Apply when the command line asks for it, and answers the exit code; else none, and the
/// program goes on. Call it first in main(), before any thread: it gives away the rights that
/// unpacking does not need, offers itself first to the kernel's OOM killer, moves into a mount
/// namespace of its own where a mount is needed, and dies with its parent.
std::optional<int> RunApplyWorker(int argc, const char* const* argv);

}  // namespace eagle::apply
