#include "sidecar/sidecar_metrics.h"

#include <string>

namespace eagle::sidecar {
namespace {

constexpr char kFetches[] = "eagle_sidecar_fetches_total";
constexpr char kFetchesHelp[] = "Fetch calls that have ended, by what came of them.";
constexpr char kReceived[] = "eagle_sidecar_received_bytes_total";
constexpr char kReceivedHelp[] = "Payload received over BitTorrent, by kind of sender.";

}  // namespace

std::string_view NameOf(FailureReason reason) {
  switch (reason) {
    case FailureReason::kNoSeeder:
      return "no_seeder";
    case FailureReason::kDenied:
      return "denied";
    case FailureReason::kStalled:
      return "stalled";
    case FailureReason::kNoSpace:
      return "no_space";
    case FailureReason::kMismatch:
      return "mismatch";
    case FailureReason::kShuttingDown:
      return "shutting_down";
    case FailureReason::kInternal:
      break;
  }
  return "internal";
}

SidecarMetrics::SidecarMetrics(observe::MetricsRegistry& registry, base::ByteSize cache_limit)
    : from_peers_(registry.AddCounter(kReceived, kReceivedHelp, {{"source", "peers"}})),
      from_seeders_(registry.AddCounter(kReceived, kReceivedHelp, {{"source", "seeders"}})),
      sent_(registry.AddCounter("eagle_sidecar_sent_bytes_total",
                                "Payload sent to other peers over BitTorrent.")),
      hash_failures_(registry.AddCounter("eagle_sidecar_hash_failures_total",
                                         "Pieces that did not match their hash.")),
      torrents_(registry.AddGauge("eagle_sidecar_torrents", "Layers in the swarm on this node.")),
      peers_(registry.AddGauge("eagle_sidecar_peers", "Connections to other peers.")),
      cached_(registry.AddCounter(kFetches, kFetchesHelp, {{"outcome", "cached"}})),
      fetched_(registry.AddCounter(kFetches, kFetchesHelp, {{"outcome", "fetched"}})),
      cancelled_(registry.AddCounter(kFetches, kFetchesHelp, {{"outcome", "cancelled"}})),
      discarded_(registry.AddCounter("eagle_sidecar_discards_total",
                                     "Layers dropped because their bytes were wrong.")),
      seeder_failures_(registry.AddCounter("eagle_sidecar_seeder_failures_total",
                                           "Questions to a seeder that had to go to another.")),
      active_(registry.AddGauge("eagle_sidecar_transfers", "Layers on their way, by state.",
                                {{"state", "active"}})),
      queued_(registry.AddGauge("eagle_sidecar_transfers", "Layers on their way, by state.",
                                {{"state", "queued"}})),
      cache_bytes_(registry.AddGauge("eagle_sidecar_cache_bytes",
                                     "Bytes of the layers in the cache, what partial ones will "
                                     "need included.")),
      cache_blobs_(registry.AddGauge("eagle_sidecar_cache_blobs", "Layers in the cache.")),
      evicted_blobs_(registry.AddCounter("eagle_sidecar_cache_evicted_blobs_total",
                                         "Layers that made way for others.")),
      evicted_bytes_(registry.AddCounter("eagle_sidecar_cache_evicted_bytes_total",
                                         "Bytes of the layers that made way for others.")) {
  registry.AddGauge("eagle_sidecar_cache_limit_bytes", "cache.limit of the configuration.")
      .Set(static_cast<double>(cache_limit.bytes));
  for (const FailureReason reason :
       {FailureReason::kNoSeeder, FailureReason::kDenied, FailureReason::kStalled,
        FailureReason::kNoSpace, FailureReason::kMismatch, FailureReason::kInternal,
        FailureReason::kShuttingDown}) {
    failed_[reason] =
        &registry.AddCounter(kFetches, kFetchesHelp, {{"outcome", std::string(NameOf(reason))}});
  }
}

void SidecarMetrics::SwarmMoved(const swarm::SessionTotals& totals) {
  const auto advance = [](observe::Counter& counter, std::int64_t now, std::int64_t before) {
    if (now > before) counter.Add(static_cast<double>(now - before));
  };
  advance(from_peers_, totals.payload_from_peers_bytes, seen_totals_.payload_from_peers_bytes);
  advance(from_seeders_, totals.payload_from_seeders_bytes,
          seen_totals_.payload_from_seeders_bytes);
  advance(sent_, totals.payload_uploaded_bytes, seen_totals_.payload_uploaded_bytes);
  advance(hash_failures_, totals.hash_failures, seen_totals_.hash_failures);
  torrents_.Set(totals.torrents);
  peers_.Set(totals.peers);
  seen_totals_ = totals;
}

void SidecarMetrics::CacheIs(const blob::BlobCacheUsage& usage) {
  cache_bytes_.Set(static_cast<double>(usage.bytes));
  cache_blobs_.Set(static_cast<double>(usage.blobs));
  evicted_blobs_.Add(static_cast<double>(usage.evicted_blobs - seen_usage_.evicted_blobs));
  evicted_bytes_.Add(static_cast<double>(usage.evicted_bytes - seen_usage_.evicted_bytes));
  seen_usage_ = usage;
}

void SidecarMetrics::TransfersAre(std::size_t active, std::size_t queued) {
  active_.Set(static_cast<double>(active));
  queued_.Set(static_cast<double>(queued));
}

}  // namespace eagle::sidecar
