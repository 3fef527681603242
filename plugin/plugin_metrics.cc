#include "plugin/plugin_metrics.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace eagle::plugin {
namespace {

constexpr std::array<std::string_view, kMethodCount> kMethodNames = {
    "Info", "Update", "List", "Delete", "Read", "Status", "ListStatuses", "Write", "Abort"};
constexpr std::array<std::string_view, 17> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

const char* const kLayers = "eagle_plugin_layers_total";
const char* const kLayersHelp =
    "Layers whose second STAT was answered, by where they came from; fallback is the registry.";
const char* const kWait = "eagle_plugin_layer_wait_seconds";
const char* const kWaitHelp = "Time that containerd waited for the answer to a second STAT.";
const char* const kHandOver = "eagle_plugin_hand_overs_total";
const char* const kHandOverHelp = "Finished layers put into ingests, by how; link costs no copy.";
const char* const kBytes = "eagle_plugin_p2p_bytes_total";
const char* const kBytesHelp =
    "Bytes of layers that came over P2P, by where this node had them from.";

const char* const kApplies = "eagle_plugin_applies_total";
const char* const kAppliesHelp =
    "Layers that containerd asked to unpack; unimplemented is left to its next applier.";

std::vector<double> WaitBounds() {
  return {0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300};
}

observe::Labels Layer(std::string_view outcome, Fallback reason) {
  return {{"outcome", std::string(outcome)}, {"reason", std::string(FallbackName(reason))}};
}

}  // namespace

PluginMetrics::PluginMetrics(observe::MetricsRegistry& registry)
    : registry_(registry),
      open_streams_(registry.AddGauge("eagle_plugin_open_streams", "Write streams open now.")),
      ingests_(registry.AddGauge("eagle_plugin_ingests", "Unfinished blobs on disk.")),
      waiting_(registry.AddGauge("eagle_plugin_waiting_layers",
                                 "Layers that containerd waits for in a second STAT.")),
      p2p_enabled_(
          registry.AddGauge("eagle_plugin_p2p_enabled",
                            "1 while layers may come from other nodes, 0 while P2P is off.")),
      layers_p2p_(registry.AddCounter(kLayers, kLayersHelp, Layer("p2p", Fallback::kNone))),
      layers_local_(registry.AddCounter(kLayers, kLayersHelp, Layer("local", Fallback::kNone))),
      layers_cancelled_(
          registry.AddCounter(kLayers, kLayersHelp, Layer("cancelled", Fallback::kNone))),
      wait_p2p_(registry.AddHistogram(kWait, kWaitHelp, WaitBounds(), {{"outcome", "p2p"}})),
      wait_local_(registry.AddHistogram(kWait, kWaitHelp, WaitBounds(), {{"outcome", "local"}})),
      wait_fallback_(
          registry.AddHistogram(kWait, kWaitHelp, WaitBounds(), {{"outcome", "fallback"}})),
      linked_(registry.AddCounter(kHandOver, kHandOverHelp, {{"kind", "link"}})),
      reflinked_(registry.AddCounter(kHandOver, kHandOverHelp, {{"kind", "reflink"}})),
      copied_(registry.AddCounter(kHandOver, kHandOverHelp, {{"kind", "copy"}})),
      peer_bytes_(registry.AddCounter(kBytes, kBytesHelp, {{"source", "peers"}})),
      seeder_bytes_(registry.AddCounter(kBytes, kBytesHelp, {{"source", "seeders"}})),
      cache_bytes_(registry.AddCounter(kBytes, kBytesHelp, {{"source", "cache"}})),
      local_bytes_(registry.AddCounter(
          "eagle_plugin_local_bytes_total",
          "Bytes of layers that another namespace had already, linked without any transfer.")),
      verify_failures_(registry.AddCounter(
          "eagle_plugin_verify_failures_total",
          "Layers from the cache whose bytes did not match their digest; each was discarded.")),
      applied_(registry.AddCounter(kApplies, kAppliesHelp, {{"result", "ok"}})),
      apply_left_to_others_(
          registry.AddCounter(kApplies, kAppliesHelp, {{"result", "unimplemented"}})),
      apply_failed_(registry.AddCounter(kApplies, kAppliesHelp, {{"result", "failed"}})),
      applied_bytes_(registry.AddCounter("eagle_plugin_applied_bytes_total",
                                         "Uncompressed bytes of layers unpacked.")),
      apply_seconds_(registry.AddHistogram("eagle_plugin_apply_seconds",
                                           "Time that unpacking a layer took.", WaitBounds())) {
  for (int i = static_cast<int>(Fallback::kNone) + 1; i < kFallbackCount; ++i) {
    const auto reason = static_cast<Fallback>(i);
    if (reason == Fallback::kCancelled) continue;
    layers_fallback_[static_cast<std::size_t>(i)] =
        &registry.AddCounter(kLayers, kLayersHelp, Layer("fallback", reason));
  }
}

void PluginMetrics::RpcEnded(Method method, int grpc_code) {
  const auto m = static_cast<std::size_t>(method);
  const auto code = static_cast<std::size_t>(std::clamp(grpc_code, 0, kCodeCount - 1));
  observe::Counter* counter = rpcs_[m][code].load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Twice the same series is the same counter.
    counter = &registry_.AddCounter(
        "eagle_plugin_rpcs_total", "Calls of the content service that ended.",
        {{"method", std::string(kMethodNames[m])}, {"code", std::string(kCodeNames[code])}});
    rpcs_[m][code].store(counter, std::memory_order_release);
  }
  counter->Increment();
}

void PluginMetrics::LayerEnded(LayerSupply::Origin origin, Fallback reason,
                               std::chrono::nanoseconds waited) {
  waiting_.Set(static_cast<double>(--waiting_count_));
  const double seconds = std::chrono::duration<double>(waited).count();
  if (origin == LayerSupply::Origin::kP2p) {
    layers_p2p_.Increment();
    wait_p2p_.Observe(seconds);
  } else if (origin == LayerSupply::Origin::kLocal) {
    layers_local_.Increment();
    wait_local_.Observe(seconds);
  } else if (reason == Fallback::kCancelled || reason == Fallback::kNone) {
    layers_cancelled_.Increment();
  } else {
    layers_fallback_[static_cast<std::size_t>(reason)]->Increment();
    wait_fallback_.Observe(seconds);
  }
}

void PluginMetrics::LayerLinked(AdoptKind kind) {
  if (kind == AdoptKind::kLink) {
    linked_.Increment();
  } else {
    (kind == AdoptKind::kReflink ? reflinked_ : copied_).Increment();
  }
}

void PluginMetrics::LayerCameFromP2p(std::int64_t peer_bytes, std::int64_t seeder_bytes,
                                     std::int64_t cache_bytes) {
  peer_bytes_.Add(static_cast<double>(peer_bytes));
  seeder_bytes_.Add(static_cast<double>(seeder_bytes));
  cache_bytes_.Add(static_cast<double>(cache_bytes));
}

void PluginMetrics::LayerApplied(const absl::Status& status, std::int64_t uncompressed_bytes,
                                 double seconds) {
  if (absl::IsUnimplemented(status)) return apply_left_to_others_.Increment();
  if (!status.ok()) return apply_failed_.Increment();
  applied_.Increment();
  applied_bytes_.Add(static_cast<double>(uncompressed_bytes));
  apply_seconds_.Observe(seconds);
}

}  // namespace eagle::plugin
