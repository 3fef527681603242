#pragma once

#include <string>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/image_name.h"
#include "lib/registry/origin.h"
#include "lib/registry/proxies.h"
#include "lib/registry/registry_client.h"
#include "seeder/layer_request.h"

namespace eagle::seeder {

/// Where layers come from in the first place: a seam over the registry client. Thread-safe.
class Origins {
 public:
  virtual ~Origins() = default;
  /// Blocks until every byte is in `sink`; errors as registry::Client::FetchBlob().
  virtual absl::Status Fetch(const LayerRequest& request, registry::BlobSink& sink,
                             registry::Cancellation& cancellation) = 0;
  /// Blocks; the text of an image's manifest. Errors as registry::Client::FetchManifest().
  virtual absl::StatusOr<std::string> FetchManifest(const registry::ImageName& image,
                                                    registry::Cancellation& cancellation) = 0;
  /// PERMISSION_DENIED when the registry may not be asked.
  [[nodiscard]] virtual absl::Status Allows(const std::string& registry) const = 0;
};

/// The registries of the `origins:` table.
class RegistryOrigins final : public Origins {
 public:
  /// `clock` must outlive it.
  RegistryOrigins(registry::OriginTable table, const registry::ClientOptions& options,
                  registry::Proxies proxies, const base::Clock& clock)
      : table_(std::move(table)), client_(options, std::move(proxies), clock) {}

  absl::Status Fetch(const LayerRequest& request, registry::BlobSink& sink,
                     registry::Cancellation& cancellation) override {
    EAGLE_ASSIGN_OR_RETURN(const registry::Origin origin, table_.Find(request.registry));
    return client_.FetchBlob(origin, {request.repositories, request.digest, request.size_bytes},
                             sink, cancellation);
  }
  absl::StatusOr<std::string> FetchManifest(const registry::ImageName& image,
                                            registry::Cancellation& cancellation) override {
    EAGLE_ASSIGN_OR_RETURN(const registry::Origin origin, table_.Find(image.registry));
    return client_.FetchManifest(origin, image.repository, image.reference(), cancellation);
  }
  [[nodiscard]] absl::Status Allows(const std::string& registry) const override {
    return table_.Find(registry).status();
  }

 private:
  const registry::OriginTable table_;
  registry::Client client_;
};

}  // namespace eagle::seeder
