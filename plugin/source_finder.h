#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "plugin/policy.h"

namespace eagle::plugin {

/// Asks containerd, on its own socket, where it got manifests from. Thread-safe; never blocks.
class SourceFinder {
 public:
  struct Options {
    /// "unix:/run/containerd/containerd.sock"
    std::string containerd_address;
    std::chrono::milliseconds timeout{1000};
  };
  /// A manifest that containerd knows in the namespace, and its sources.
  struct Found {
    base::Digest manifest;
    std::vector<LayerSource> sources;
  };
  /// The manifests of the question that have a source, in its order. An error when containerd gave
  /// no answer to any of it.
  using Done = std::function<void(absl::StatusOr<std::vector<Found>>)>;

  explicit SourceFinder(Options options);
  /// Cancels what is under way and waits until every `done` has returned.
  ~SourceFinder();

  /// Calls `done` exactly once, on a thread that must not be blocked.
  void Find(const std::string& containerd_namespace, const std::vector<base::Digest>& manifests,
            Done done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::plugin
