#pragma once

#include <chrono>
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

/// The calls to this node's sidecar: a seam, so that the rules of waiting are tested without one.
/// Time-outs are the caller's. Thread-safe; never blocks.
class SidecarClient {
 public:
  struct Progress {
    /// Verified bytes here, and the length of the prefix among them.
    std::int64_t bytes_done = 0;
    std::int64_t bytes_contiguous = 0;
    /// Payload of this call's transfer, verified or not.
    std::int64_t bytes_received = 0;
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
  /// the call was cancelled. The first progress may only say that the call has arrived.
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

  virtual ~SidecarClient() = default;

  virtual std::shared_ptr<Call> Fetch(const WantedLayer& layer, Listener listener) = 0;
  /// Best effort, in the order in which they will be asked for.
  virtual void Prefetch(const std::vector<WantedLayer>& layers) = 0;
  /// The file in the cache does not match its digest.
  virtual void Discard(const base::Digest& digest) = 0;
  /// containerd has deleted these blobs.
  virtual void Deleted(const std::vector<base::Digest>& digests) = 0;
  /// Asks for a sign of life; `done` is called once, after `patience` at the latest.
  virtual void Probe(std::chrono::milliseconds patience, std::function<void(bool alive)> done) = 0;
};

/// Over gRPC. A sidecar that is not there is noticed at once. Numbers that it sends are only
/// brought into range here, nothing else is believed.
class GrpcSidecarClient final : public SidecarClient {
 public:
  /// "unix:/run/eagle/sidecar/node.sock"
  explicit GrpcSidecarClient(const std::string& address);
  /// Cancels what is under way and waits until no listener can be called any more.
  ~GrpcSidecarClient() override;

  std::shared_ptr<Call> Fetch(const WantedLayer& layer, Listener listener) override;
  void Prefetch(const std::vector<WantedLayer>& layers) override;
  void Discard(const base::Digest& digest) override;
  void Deleted(const std::vector<base::Digest>& digests) override;
  void Probe(std::chrono::milliseconds patience, std::function<void(bool)> done) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::plugin
