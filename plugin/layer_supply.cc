#include "plugin/layer_supply.h"

namespace eagle::plugin {

std::string_view FallbackName(Fallback reason) {
  switch (reason) {
    case Fallback::kNone:
      return "none";
    case Fallback::kDisabled:
      return "disabled";
    case Fallback::kSmall:
      return "small";
    case Fallback::kNoManifest:
      return "no_manifest";
    case Fallback::kNoSource:
      return "no_source";
    case Fallback::kPolicy:
      return "policy";
    case Fallback::kContainerd:
      return "containerd";
    case Fallback::kSidecarUnreachable:
      return "sidecar_unreachable";
    case Fallback::kSidecarHung:
      return "sidecar_hung";
    case Fallback::kSidecarError:
      return "sidecar_error";
    case Fallback::kNoSeeder:
      return "no_seeder";
    case Fallback::kDenied:
      return "denied";
    case Fallback::kStalled:
      return "stalled";
    case Fallback::kSlow:
      return "slow";
    case Fallback::kBudget:
      return "budget";
    case Fallback::kNoSpace:
      return "no_space";
    case Fallback::kMismatch:
      return "mismatch";
    case Fallback::kShuttingDown:
      return "shutting_down";
    case Fallback::kCorrupt:
      return "corrupt";
    case Fallback::kHandOver:
      return "hand_over";
    case Fallback::kCancelled:
      return "cancelled";
  }
  return "none";
}

}  // namespace eagle::plugin
