#include "plugin/admin_service.h"

#include <fmt/format.h>

#include "lib/observe/build_info.h"
#include "lib/rpc/status.h"

namespace eagle::plugin {
namespace {

void ToProto(const P2pControl::State& state, v1::P2pState* out) {
  out->set_enabled(state.enabled());
  out->set_switched_on(!state.off.has_value());
  out->set_configured(state.config.enabled);
  out->set_has_cache(state.has_cache);
  if (state.off) {
    out->set_off_since(state.off->since);
    out->set_off_reason(state.off->reason);
  }
  out->set_min_size(state.config.min_size.str());
  out->set_stall_timeout(DurationText(state.config.stall_timeout));
  out->set_budget(DurationText(state.config.budget));
  out->set_sidecar_timeout(DurationText(state.config.sidecar_timeout));
  out->set_min_rate(state.config.min_rate.str());
  *out->mutable_allow() = {state.config.allow.begin(), state.config.allow.end()};
  *out->mutable_deny() = {state.config.deny.begin(), state.config.deny.end()};
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetStatus(grpc::CallbackServerContext* context,
                                                  const v1::GetStatusRequest* /*request*/,
                                                  v1::GetStatusReply* reply) {
  const P2pControl::State state = control_.state();
  reply->set_version(std::string(observe::Version()));
  reply->set_config_path(config_path_);
  reply->set_waiting_layers(layers_.waiting());
  reply->set_log_level(state.log_level);
  ToProto(state, reply->mutable_p2p());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::SetP2p(grpc::CallbackServerContext* context,
                                               const v1::SetP2pRequest* request,
                                               v1::SetP2pReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  changes_.Post([this, request, reply, reactor] {
    const P2pControl::Switched switched = control_.Switch(request->on(), request->reason());
    ToProto(switched.state, reply->mutable_p2p());
    reply->set_changed(switched.changed);
    reply->set_released_layers(switched.released);
    if (!switched.kept.ok()) reply->set_not_kept(std::string(base::Message(switched.kept)));
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::Reload(grpc::CallbackServerContext* context,
                                               const v1::ReloadRequest* /*request*/,
                                               v1::ReloadReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  changes_.Post([this, reply, reactor] {
    const auto reloaded = control_.Reload();
    if (reloaded.ok()) {
      *reply->mutable_changes() = {reloaded->changes.begin(), reloaded->changes.end()};
      *reply->mutable_needs_restart() = {reloaded->needs_restart.begin(),
                                         reloaded->needs_restart.end()};
      ToProto(reloaded->state, reply->mutable_p2p());
    }
    reactor->Finish(rpc::ToGrpc(reloaded.status()));
  });
  return reactor;
}

}  // namespace eagle::plugin
