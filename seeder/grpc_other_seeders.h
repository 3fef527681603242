#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "seeder/other_seeders.h"

namespace grpc {
class Channel;
}

namespace eagle::seeder {

/// Metadata key of a request that a seeder passes on: who gets it serves it itself.
inline constexpr char kHopKey[] = "eagle-hop";
/// Trailing metadata of an UNAVAILABLE that is the registry's fault and not the seeder's.
inline constexpr char kOriginFailedKey[] = "eagle-origin-failed";

/// The other seeders over gRPC.
class GrpcOtherSeeders final : public OtherSeeders {
 public:
  /// A seeder that says nothing for `silence` is not healthy.
  explicit GrpcOtherSeeders(const std::vector<std::string>& seeders,
                            std::chrono::milliseconds silence = std::chrono::seconds(2));

  OtherSeederAnswer Watch(const std::string& seeder, const LayerRequest& request,
                          const ProgressCallback& progress,
                          registry::Cancellation& cancellation) override;

 private:
  const std::chrono::milliseconds silence_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;
};

}  // namespace eagle::seeder
