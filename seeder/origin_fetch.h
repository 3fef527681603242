#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "seeder/durable_tier.h"
#include "seeder/layer_request.h"
#include "seeder/origins.h"
#include "seeder/seeder_metrics.h"
#include "seeder/storage.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// Called as bytes arrive: how many there are of how many.
using ProgressCallback = std::function<void(std::int64_t bytes_fetched, std::int64_t bytes_total)>;

/// Brings a layer from its registry into storage and swarm. Thread-safe; the caller sees to it that
/// one layer is fetched once at a time.
class OriginFetch {
 public:
  /// All of these must outlive it. `tier` is asked before the registry; nullptr: there is none.
  OriginFetch(Origins& origins, Storage& storage, Swarm& swarm, DurableTier* tier,
              SeederMetrics& metrics)
      : origins_(origins), storage_(storage), swarm_(swarm), tier_(tier), metrics_(metrics) {}

  /// Blocks until the layer is stored, seeded and announced; returns its torrent. One pass over the
  /// bytes, from the storage back end or the registry, in constant memory: disk, piece hashes and
  /// SHA-256 together. What the storage has of the layer is used when it is complete, and dropped
  /// otherwise. On an error nothing is stored; UNAVAILABLE when length or digest turn out wrong,
  /// else as Origins::Fetch().
  absl::StatusOr<std::string> Run(const LayerRequest& request, const ProgressCallback& progress,
                                  registry::Cancellation& cancellation);

 private:
  absl::StatusOr<std::string> Fetch(const LayerRequest& request, const ProgressCallback& progress,
                                    registry::Cancellation& cancellation);
  /// From the storage back end, else from the registry; then `*from_registry` is set.
  absl::Status Bring(const LayerRequest& request, registry::BlobSink& sink,
                     registry::Cancellation& cancellation, bool* from_registry);
  absl::StatusOr<std::string> MakeTorrentAgain(const StoredLayer& layer);
  absl::Status SeedAndWait(const std::string& metainfo);

  Origins& origins_;
  Storage& storage_;
  Swarm& swarm_;
  DurableTier* const tier_;
  SeederMetrics& metrics_;
};

}  // namespace eagle::seeder
