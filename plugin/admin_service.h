#pragma once

#include "api/plugin/plugin.grpc.pb.h"
#include "lib/base/thread_pool.h"
#include "plugin/layer_fetcher.h"
#include "plugin/p2p_control.h"

namespace eagle::plugin {

/// eagle.plugin.v1.Admin: what eaglectl asks. Changes run one after another on a thread of their
/// own, so that a slow disk delays nobody else. Collaborators must outlive it; the server must have
/// stopped before it goes.
class AdminService final : public v1::Admin::CallbackService {
 public:
  AdminService(P2pControl& control, LayerFetcher& layers, std::string config_path)
      : control_(control), layers_(layers), config_path_(std::move(config_path)) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusReply* reply) override;
  grpc::ServerUnaryReactor* SetP2p(grpc::CallbackServerContext* context,
                                   const v1::SetP2pRequest* request,
                                   v1::SetP2pReply* reply) override;
  grpc::ServerUnaryReactor* Reload(grpc::CallbackServerContext* context,
                                   const v1::ReloadRequest* request,
                                   v1::ReloadReply* reply) override;

 private:
  P2pControl& control_;
  LayerFetcher& layers_;
  const std::string config_path_;
  base::ThreadPool changes_{1};
};

}  // namespace eagle::plugin
