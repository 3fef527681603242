#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "plugin/layer_supply.h"
#include "plugin/policy.h"

namespace eagle::plugin {

/// A layer as the sidecar is asked for it.
struct WantedLayer {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  std::vector<LayerSource> sources;
};

/// The calls to this node's sidecar. A sidecar that is not there is noticed at once; time-outs are
/// the caller's. Numbers that it sends are only brought into range here, nothing else is believed.
/// Thread-safe; never blocks.
class SidecarClient {
 public:
  struct Progress {
    /// Verified bytes here, and the length of the prefix among them.
    std::int64_t bytes_done = 0;
    std::int64_t bytes_contiguous = 0;
    /// While a seeder still fetches the layer.
    std::int64_t bytes_at_origin = 0;
  };
  struct End {
    /// kNone: the layer is in the cache.
    Fallback reason = Fallback::kNone;
    std::int64_t bytes_from_peers = 0;
    std::int64_t bytes_from_seeders = 0;
    std::string message{};
  };
  /// On a thread that must not be blocked, one call after the other: progress, then one end, unless
  /// the call was cancelled.
  struct Listener {
    std::function<void(const Progress&)> progress;
    std::function<void(const End&)> end;
  };
  class Call {
   public:
    virtual ~Call() = default;
    /// Releases our interest. The listener may still be inside a call.
    virtual void Cancel() = 0;
  };

  /// "unix:/run/eagle/sidecar/node.sock"
  explicit SidecarClient(const std::string& address);
  /// Cancels what is under way and waits until no listener can be called any more.
  ~SidecarClient();

  std::shared_ptr<Call> Fetch(const WantedLayer& layer, Listener listener);
  /// Best effort, in the order in which they will be asked for.
  void Prefetch(const std::vector<WantedLayer>& layers);
  /// The file in the cache does not match its digest.
  void Discard(const base::Digest& digest);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::plugin
