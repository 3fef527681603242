#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "api/content/content.grpc.pb.h"
#include "lib/base/digest.h"
#include "lib/rpc/server.h"

namespace eagle::plugin::testing {

/// containerd's own content service, as far as the plugin asks it: labels of manifests.
class FakeContainerd final : public containerd::services::content::v1::Content::Service {
 public:
  explicit FakeContainerd(const std::string& address);
  ~FakeContainerd() override;

  /// In `containerd_namespace` the manifest has the label of this registry.
  void AddSource(const std::string& containerd_namespace, const base::Digest& manifest,
                 const std::string& registry, const std::string& repositories);
  /// Does not answer until Continue().
  void Hang();
  void Continue();

  grpc::Status Info(grpc::ServerContext* context,
                    const containerd::services::content::v1::InfoRequest* request,
                    containerd::services::content::v1::InfoResponse* response) override;

 private:
  absl::Mutex mutex_;
  bool hanging_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::pair<std::string, std::string>, std::map<std::string, std::string>> labels_
      ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace eagle::plugin::testing
