#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/image_name.h"
#include "lib/registry/manifest.h"
#include "seeder/layer_fetches.h"
#include "seeder/origins.h"

namespace eagle::seeder {

/// How far the layers of an image are on their way.
struct ImageProgress {
  std::int64_t layers_done = 0;
  std::int64_t layers_total = 0;
  std::int64_t bytes_done = 0;
  std::int64_t bytes_total = 0;
};
using ImageProgressCallback = std::function<void(const ImageProgress&)>;

/// Brings an image's layers into the swarm before anybody asks for them: its manifest from the
/// registry, then each layer as if a node had asked for it, so that every seeder of the cluster may
/// do the same and one fetch is made. Thread-safe.
class ImageFetch {
 public:
  /// Both must outlive it.
  ImageFetch(Origins& origins, LayerFetches& fetches) : origins_(origins), fetches_(fetches) {}

  /// Blocks until every layer is here, seeded and announced; a few at a time, so that nodes' own
  /// requests find threads free. `progress` is called on this thread. A layer that fails does not
  /// keep the others from being fetched; the first failure is returned. Of an index the layers for
  /// all of `platforms` that it has; NOT_FOUND when it has none of them. An image that is no index
  /// is taken for whatever it is. Other errors as Origins::FetchManifest() and LayerFetches.
  absl::Status Run(const registry::ImageName& image,
                   const std::vector<registry::Platform>& platforms,
                   const ImageProgressCallback& progress, registry::Cancellation& cancellation);

 private:
  absl::StatusOr<std::vector<registry::ManifestLayer>> LayersOf(
      const registry::ImageName& image, const std::vector<registry::Platform>& platforms,
      registry::Cancellation& cancellation);
  absl::Status FetchLayers(const registry::ImageName& image,
                           const std::vector<registry::ManifestLayer>& layers,
                           const ImageProgressCallback& progress,
                           registry::Cancellation& cancellation);

  Origins& origins_;
  LayerFetches& fetches_;
};

}  // namespace eagle::seeder
