#pragma once

#include "lib/base/status.h"
#include "lib/registry/blob_url.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/origin.h"
#include "lib/registry/registry_client.h"

namespace eagle::seeder {

/// Where layers come from in the first place: a seam over the registry client. Thread-safe.
class Origins {
 public:
  virtual ~Origins() = default;
  /// Blocks until every byte is in `sink`; errors as registry::Client::FetchBlob().
  virtual absl::Status Fetch(const registry::BlobUrl& url, registry::BlobSink& sink,
                             registry::Cancellation& cancellation) = 0;
};

/// The registries of the `origins:` table.
class RegistryOrigins final : public Origins {
 public:
  RegistryOrigins(registry::OriginTable table, const registry::ClientOptions& options)
      : table_(std::move(table)), client_(options) {}

  absl::Status Fetch(const registry::BlobUrl& url, registry::BlobSink& sink,
                     registry::Cancellation& cancellation) override {
    EAGLE_ASSIGN_OR_RETURN(const registry::Origin origin, table_.Find(url.registry));
    return client_.FetchBlob(origin, url.repository, url.digest, sink, cancellation);
  }

 private:
  const registry::OriginTable table_;
  const registry::Client client_;
};

}  // namespace eagle::seeder
