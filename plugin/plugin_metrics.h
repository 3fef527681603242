#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "lib/base/status.h"
#include "lib/observe/metrics.h"
#include "plugin/ingest.h"
#include "plugin/layer_supply.h"

namespace eagle::plugin {

enum class Method { kInfo, kUpdate, kList, kDelete, kRead, kStatus, kListStatuses, kWrite, kAbort };
inline constexpr int kMethodCount = static_cast<int>(Method::kAbort) + 1;

/// The plugin's metrics. Thread-safe.
class PluginMetrics {
 public:
  explicit PluginMetrics(observe::MetricsRegistry& registry);

  void RpcEnded(Method method, int grpc_code);
  void StreamOpened() { open_streams_.Set(static_cast<double>(++open_stream_count_)); }
  void StreamClosed() { open_streams_.Set(static_cast<double>(--open_stream_count_)); }
  void CountIngests(std::int64_t count) { ingests_.Set(static_cast<double>(count)); }

  void LayerStartedWaiting() { waiting_.Set(static_cast<double>(++waiting_count_)); }
  /// A second STAT was answered: `outcome` as in LayerSupply, after the link.
  void LayerEnded(LayerSupply::Origin origin, Fallback reason, std::chrono::nanoseconds waited);
  void LayerLinked(AdoptKind kind);
  void LayerCameFromP2p(std::int64_t peer_bytes, std::int64_t seeder_bytes,
                        std::int64_t cache_bytes);
  void LayerWasLocal(std::int64_t bytes) { local_bytes_.Add(static_cast<double>(bytes)); }
  void P2pIsOn(bool on) { p2p_enabled_.Set(on ? 1 : 0); }
  void VerifyFailed() { verify_failures_.Increment(); }
  /// An Apply that got as far as its blob has ended.
  void LayerApplied(const absl::Status& status, std::int64_t uncompressed_bytes, double seconds);

 private:
  static constexpr int kCodeCount = 17;

  observe::MetricsRegistry& registry_;
  // Made when first needed: most of the combinations never happen.
  std::array<std::array<std::atomic<observe::Counter*>, kCodeCount>, kMethodCount> rpcs_{};

  std::atomic<std::int64_t> open_stream_count_ = 0;
  std::atomic<std::int64_t> waiting_count_ = 0;
  observe::Gauge& open_streams_;
  observe::Gauge& ingests_;
  observe::Gauge& waiting_;
  observe::Gauge& p2p_enabled_;
  observe::Counter& layers_p2p_;
  observe::Counter& layers_local_;
  observe::Counter& layers_cancelled_;
  std::array<observe::Counter*, kFallbackCount> layers_fallback_{};
  observe::Histogram& wait_p2p_;
  observe::Histogram& wait_local_;
  observe::Histogram& wait_fallback_;
  observe::Counter& linked_;
  observe::Counter& reflinked_;
  observe::Counter& copied_;
  observe::Counter& peer_bytes_;
  observe::Counter& seeder_bytes_;
  observe::Counter& cache_bytes_;
  observe::Counter& local_bytes_;
  observe::Counter& verify_failures_;
  observe::Counter& applied_;
  observe::Counter& apply_left_to_others_;
  observe::Counter& apply_failed_;
  observe::Counter& applied_bytes_;
  observe::Histogram& apply_seconds_;
};

}  // namespace eagle::plugin
