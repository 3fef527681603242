#include "seeder/seeder_metrics.h"

namespace eagle::seeder {
namespace {

constexpr std::array kMethods = {std::pair{Method::kGetMetaInfo, "GetMetaInfo"},
                                 std::pair{Method::kWatchMetaInfo, "WatchMetaInfo"}};

// The codes that the service answers with; others count as UNKNOWN.
constexpr std::array kCodes = {
    std::pair{absl::StatusCode::kOk, "OK"},
    std::pair{absl::StatusCode::kCancelled, "CANCELLED"},
    std::pair{absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT"},
    std::pair{absl::StatusCode::kNotFound, "NOT_FOUND"},
    std::pair{absl::StatusCode::kPermissionDenied, "PERMISSION_DENIED"},
    std::pair{absl::StatusCode::kResourceExhausted, "RESOURCE_EXHAUSTED"},
    std::pair{absl::StatusCode::kUnavailable, "UNAVAILABLE"},
    std::pair{absl::StatusCode::kInternal, "INTERNAL"},
    std::pair{absl::StatusCode::kUnknown, "UNKNOWN"}};

constexpr std::array kOriginResults = {std::pair{OriginResult::kOk, "ok"},
                                       std::pair{OriginResult::kWrongBytes, "wrong_bytes"},
                                       std::pair{OriginResult::kNotFound, "not_found"},
                                       std::pair{OriginResult::kDenied, "denied"},
                                       std::pair{OriginResult::kNoSpace, "no_space"},
                                       std::pair{OriginResult::kUnavailable, "unavailable"},
                                       std::pair{OriginResult::kCancelled, "cancelled"}};

constexpr std::array kPassedOnResults = {std::pair{PassedOnResult::kOk, "ok"},
                                         std::pair{PassedOnResult::kFailed, "failed"},
                                         std::pair{PassedOnResult::kUnhealthy, "unhealthy"}};

}  // namespace

SeederMetrics::SeederMetrics(observe::MetricsRegistry& registry)
    : origin_bytes_(registry.AddCounter("eagle_seeder_origin_bytes_total",
                                        "Bytes of layers received from registries.")),
      restored_bytes_(registry.AddCounter("eagle_seeder_restored_bytes_total",
                                          "Bytes that came back from the storage back end.")),
      kept_(registry.AddCounter("eagle_seeder_kept_layers_total",
                                "Layers copied to the storage back end.", {{"result", "ok"}})),
      not_kept_(registry.AddCounter("eagle_seeder_kept_layers_total",
                                    "Layers copied to the storage back end.",
                                    {{"result", "failed"}})),
      preheated_(registry.AddCounter("eagle_seeder_preheats_total", "Images preheated.",
                                     {{"result", "ok"}})),
      not_preheated_(registry.AddCounter("eagle_seeder_preheats_total", "Images preheated.",
                                         {{"result", "failed"}})),
      waiting_preheats_(registry.AddGauge("eagle_seeder_waiting_preheats",
                                          "Images that wait to be preheated, or are fetched.")),
      waiting_callers_(
          registry.AddGauge("eagle_seeder_waiting_callers", "Requests that wait for a layer.")),
      stored_bytes_(registry.AddGauge("eagle_seeder_stored_bytes",
                                      "Bytes of layers in the storage, with what unfinished ones "
                                      "will need.")),
      storage_limit_bytes_(
          registry.AddGauge("eagle_seeder_storage_limit_bytes", "Limit of the storage.")),
      stored_layers_(registry.AddGauge("eagle_seeder_stored_layers", "Layers in the storage.")),
      torrents_(registry.AddGauge("eagle_seeder_torrents", "Torrents in the session.")),
      peers_(registry.AddGauge("eagle_seeder_peers", "Connected BitTorrent peers.")) {
  for (const auto& [method, method_name] : kMethods) {
    for (const auto& [code, code_name] : kCodes) {
      requests_[{method, code}] =
          &registry.AddCounter("eagle_seeder_requests_total", "gRPC requests that have ended.",
                               {{"method", method_name}, {"code", code_name}});
    }
  }
  for (const auto& [result, name] : kOriginResults) {
    origin_fetches_[result] =
        &registry.AddCounter("eagle_seeder_origin_fetches_total",
                             "Fetches of layers from registries.", {{"result", name}});
  }
  for (const auto& [result, name] : kPassedOnResults) {
    passed_on_[result] =
        &registry.AddCounter("eagle_seeder_passed_on_total",
                             "Layers asked for at the seeder that owns them.", {{"result", name}});
  }
  const absl::MutexLock held(&mutex_);
  sent_bytes_.counter = &registry.AddCounter("eagle_seeder_sent_bytes_total",
                                             "Bytes of layers sent to BitTorrent peers.");
  received_bytes_.counter = &registry.AddCounter("eagle_seeder_received_bytes_total",
                                                 "Bytes of layers received from BitTorrent peers.");
  hash_failures_.counter = &registry.AddCounter("eagle_seeder_hash_failures_total",
                                                "Pieces from peers that did not verify.");
  evicted_layers_.counter =
      &registry.AddCounter("eagle_seeder_evictions_total", "Layers evicted from the storage.");
  evicted_bytes_.counter = &registry.AddCounter("eagle_seeder_evicted_bytes_total",
                                                "Bytes of layers evicted from the storage.");
}

void SeederMetrics::Follower::Follow(std::int64_t total) {
  if (total <= seen) return;
  counter->Add(static_cast<double>(total - seen));
  seen = total;
}

void SeederMetrics::RequestEnded(Method method, absl::StatusCode code) {
  const auto it = requests_.find({method, code});
  (it != requests_.end() ? it->second : requests_.at({method, absl::StatusCode::kUnknown}))
      ->Increment();
}

void SeederMetrics::OriginSent(std::int64_t bytes) {
  origin_bytes_.Add(static_cast<double>(bytes));
}

void SeederMetrics::OriginFetchEnded(OriginResult result) {
  origin_fetches_.at(result)->Increment();
}

void SeederMetrics::PassedOn(PassedOnResult result) {
  passed_on_.at(result)->Increment();
}

void SeederMetrics::Restored(std::int64_t bytes) {
  restored_bytes_.Add(static_cast<double>(bytes));
}

void SeederMetrics::LayerKept(bool ok) {
  (ok ? kept_ : not_kept_).Increment();
}

void SeederMetrics::CallersWait(std::int64_t callers) {
  waiting_callers_.Set(static_cast<double>(callers));
}

void SeederMetrics::PreheatsWait(std::int64_t images) {
  waiting_preheats_.Set(static_cast<double>(images));
}

void SeederMetrics::PreheatEnded(bool ok) {
  (ok ? preheated_ : not_preheated_).Increment();
}

void SeederMetrics::ObserveSwarm(const swarm::SessionTotals& totals) {
  const absl::MutexLock held(&mutex_);
  sent_bytes_.Follow(totals.payload_uploaded_bytes);
  received_bytes_.Follow(totals.payload_from_peers_bytes + totals.payload_from_seeders_bytes);
  hash_failures_.Follow(totals.hash_failures);
  torrents_.Set(totals.torrents);
  peers_.Set(totals.peers);
}

void SeederMetrics::ObserveStorage(const Storage::Usage& usage) {
  const absl::MutexLock held(&mutex_);
  evicted_layers_.Follow(usage.evicted_layers);
  evicted_bytes_.Follow(usage.evicted_bytes);
  stored_bytes_.Set(static_cast<double>(usage.bytes));
  storage_limit_bytes_.Set(static_cast<double>(usage.limit_bytes));
  stored_layers_.Set(static_cast<double>(usage.layers));
}

}  // namespace eagle::seeder
