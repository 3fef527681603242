#pragma once

#include <functional>

#include "api/seeder/seeder.grpc.pb.h"
#include "lib/base/thread_pool.h"
#include "seeder/layer_admin.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// eagle.seeder.v1 over LayerAdmin. Calls run one after the other on a thread of its own, as they
/// block on the disk.
class SeederService final : public v1::Seeder::CallbackService {
 public:
  /// All of these must outlive it, and it must outlive the server it is registered with.
  SeederService(LayerAdmin& admin, Storage& storage, Swarm& swarm)
      : admin_(admin), storage_(storage), swarm_(swarm) {}

  grpc::ServerUnaryReactor* ListLayers(grpc::CallbackServerContext* context,
                                       const v1::ListLayersRequest* request,
                                       v1::ListLayersReply* reply) override;
  grpc::ServerUnaryReactor* RemoveLayer(grpc::CallbackServerContext* context,
                                        const v1::RemoveLayerRequest* request,
                                        v1::RemoveLayerReply* reply) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusReply* reply) override;

 private:
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   std::function<absl::Status()> work);

  LayerAdmin& admin_;
  Storage& storage_;
  Swarm& swarm_;
  base::ThreadPool worker_{1};
};

}  // namespace eagle::seeder
