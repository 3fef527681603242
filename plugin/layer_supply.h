#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "plugin/content_ref.h"
#include "plugin/ingest_locks.h"
#include "plugin/verified_file.h"

namespace eagle::plugin {

/// Why a layer comes from the registry after all.
enum class Fallback {
  kNone,
  kDisabled,
  kSmall,
  kNoManifest,
  kNoSource,
  kPolicy,
  kContainerd,
  kSidecarUnreachable,
  kSidecarHung,
  kSidecarError,
  kNoSeeder,
  kDenied,
  kStalled,
  kSlow,
  kBudget,
  kNoSpace,
  kMismatch,
  kShuttingDown,
  kCorrupt,
  kHandOver,
  kCancelled,
};
inline constexpr int kFallbackCount = static_cast<int>(Fallback::kCancelled) + 1;

/// As in the metrics' label: "sidecar_hung".
std::string_view FallbackName(Fallback reason);

/// Where finished layers come from other than the registry.
class LayerSupply {
 public:
  struct Request {
    /// Of kind kLayer.
    ContentRef ref;
    std::int64_t size_bytes = 0;
    /// Follows the transfer until `done`; only grows.
    LiveOffsetPtr live;
  };

  enum class Origin { kNone, kP2p, kLocal };
  struct Outcome {
    /// nullptr: the registry has to serve the layer, for `reason`.
    std::shared_ptr<const VerifiedFile> file = nullptr;
    Origin origin = Origin::kNone;
    Fallback reason = Fallback::kNone;
  };
  /// Called exactly once for each Get(), on any thread, perhaps before Get() returns; must not
  /// block.
  using Done = std::function<void(Outcome)>;

  /// One stream's interest in its layer. To be kept until the stream ends, however it went: the
  /// layers of an image that is being pulled share what is known about their sources' health.
  class Ticket {
   public:
    virtual ~Ticket() = default;
    /// Ends the wait with kCancelled, unless it has ended. The transfer goes on only if somebody
    /// else waits for it.
    virtual void Cancel() = 0;
  };

  virtual ~LayerSupply() = default;
  /// Thread-safe, never blocks.
  virtual std::unique_ptr<Ticket> Get(Request request, Done done) = 0;
  /// containerd has deleted this blob: others may let go of it too. Thread-safe, never blocks.
  virtual void Deleted(const base::Digest& digest) = 0;
};

}  // namespace eagle::plugin
