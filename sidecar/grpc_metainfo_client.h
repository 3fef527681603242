#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sidecar/metainfo_client.h"

namespace eagle::sidecar {

/// The seeders at their gRPC addresses. Thread-safe.
class GrpcMetainfoClient final : public MetainfoClient {
 public:
  explicit GrpcMetainfoClient(const std::vector<std::string>& addresses);
  /// Cancels what is under way and waits until no listener can be called any more.
  ~GrpcMetainfoClient() override;

  std::shared_ptr<Call> Watch(std::size_t seeder, const std::string& url,
                              Listener listener) override;
  [[nodiscard]] bool Reachable(std::size_t seeder) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::sidecar
