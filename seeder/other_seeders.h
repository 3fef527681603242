#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "seeder/layer_request.h"
#include "seeder/origin_fetch.h"

namespace eagle::seeder {

/// A layer's torrent and who has the layer.
struct LayerAnswer {
  std::string metainfo;
  std::int64_t size_bytes = 0;
  /// "ip:port" of BitTorrent peers; may be empty.
  std::vector<std::string> peers;
};

/// What asking another seeder came to.
struct OtherSeederAnswer {
  /// False when it did not answer: another seeder should. True with an error: it answered that it
  /// can not have the layer, and no other seeder would.
  bool healthy = false;
  absl::StatusOr<LayerAnswer> answer = absl::UnavailableError("not asked");
};

/// The other seeders of the cluster: a seam over gRPC. Thread-safe.
class OtherSeeders {
 public:
  virtual ~OtherSeeders() = default;
  /// Watches the layer at `seeder` (an address of the `seeders:` list) until it has it. Blocks;
  /// `progress` is called on some other thread, but not after the return.
  virtual OtherSeederAnswer Watch(const std::string& seeder, const LayerRequest& request,
                                  const ProgressCallback& progress,
                                  registry::Cancellation& cancellation) = 0;
};

}  // namespace eagle::seeder
