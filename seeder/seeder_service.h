#pragma once

#include <functional>

#include "api/seeder/seeder.grpc.pb.h"
#include "lib/base/thread_pool.h"
#include "seeder/layer_admin.h"
#include "seeder/layer_pins.h"
#include "seeder/preheater.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// eagle.seeder.v1 over LayerAdmin. Calls run one after the other on a thread of its own, as they
/// block on the disk.
class SeederService final : public v1::Seeder::CallbackService {
 public:
  /// All of these must outlive it, and it must outlive the server it is registered with.
  SeederService(LayerAdmin& admin, LayerPins& pins, Preheater& preheater, Storage& storage,
                Swarm& swarm)
      : admin_(admin), pins_(pins), preheater_(preheater), storage_(storage), swarm_(swarm) {}

  grpc::ServerUnaryReactor* ListLayers(grpc::CallbackServerContext* context,
                                       const v1::ListLayersRequest* request,
                                       v1::ListLayersReply* reply) override;
  grpc::ServerUnaryReactor* RemoveLayer(grpc::CallbackServerContext* context,
                                        const v1::RemoveLayerRequest* request,
                                        v1::RemoveLayerReply* reply) override;
  grpc::ServerUnaryReactor* PinLayer(grpc::CallbackServerContext* context,
                                     const v1::PinLayerRequest* request,
                                     v1::PinLayerReply* reply) override;
  grpc::ServerUnaryReactor* UnpinLayer(grpc::CallbackServerContext* context,
                                       const v1::UnpinLayerRequest* request,
                                       v1::UnpinLayerReply* reply) override;
  grpc::ServerWriteReactor<v1::PreheatProgress>* Preheat(
      grpc::CallbackServerContext* context, const v1::PreheatRequest* request) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusReply* reply) override;

 private:
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   std::function<absl::Status()> work);

  LayerAdmin& admin_;
  LayerPins& pins_;
  Preheater& preheater_;
  Storage& storage_;
  Swarm& swarm_;
  base::ThreadPool worker_{1};
};

}  // namespace eagle::seeder
