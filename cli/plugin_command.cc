#include "cli/plugin_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <vector>

#include "api/plugin/plugin.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/proto_json.h"
#include "lib/rpc/channel.h"

namespace eagle::cli {
namespace {

namespace api = eagle::plugin::v1;

constexpr std::chrono::seconds kPatience{10};

std::unique_ptr<api::Admin::Stub> Stub(const PluginCall& call) {
  return api::Admin::NewStub(rpc::MakeChannel("unix:" + call.socket));
}

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
}

int Failed(const PluginCall& call, const grpc::Status& status) {
  std::string remedy;
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    remedy = fmt::format("\n{}: {}; eaglectl doctor looks for the cause", call.socket,
                         ::access(call.socket.c_str(), F_OK) != 0 ? "is not there"
                         : ::access(call.socket.c_str(), W_OK) != 0
                             ? "only root may ask"
                             : "the plugin does not answer (systemctl status eagle-plugin)");
  }
  std::cerr << "eaglectl: " << status.error_message() << remedy << '\n';
  return kFailed;
}

// "on", or "off" and who says so.
std::string Describe(const api::P2pState& state) {
  if (state.enabled()) return "on";
  std::vector<std::string> reasons;
  if (!state.switched_on()) {
    reasons.push_back(fmt::format("switched off {}{}{}", state.off_since(),
                                  state.off_reason().empty() ? "" : ": ", state.off_reason()));
  }
  if (!state.configured()) reasons.emplace_back("p2p.enabled is false in the configuration");
  if (!state.has_cache()) reasons.emplace_back("the configuration names no cache_dir");
  return fmt::format("off ({})", fmt::join(reasons, "; "));
}

std::string Rules(const google::protobuf::RepeatedPtrField<std::string>& rules) {
  return fmt::format("[{}]", fmt::join(rules, ", "));
}

}  // namespace

int P2pStatus(const PluginCall& call) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::GetStatusReply reply;
  const grpc::Status status = Stub(call)->GetStatus(&context, {}, &reply);
  if (!status.ok()) return Failed(call, status);
  if (call.json) return PrintJson(reply);
  const api::P2pState& p2p = reply.p2p();
  std::cout << fmt::format(
      "p2p:             {}\nwaiting layers:  {}\nmin_size:        {}\nstall_timeout:   {}\n"
      "budget:          {}\nsidecar_timeout: {}\nmin_rate:        {}\nallow:           {}\ndeny:   "
      "         {}\n"
      "log_level:       {}\nconfiguration:   {}\nplugin:          {}\n",
      Describe(p2p), reply.waiting_layers(), p2p.min_size(), p2p.stall_timeout(), p2p.budget(),
      p2p.sidecar_timeout(), p2p.min_rate(), Rules(p2p.allow()), Rules(p2p.deny()),
      reply.log_level(), reply.config_path(), reply.version());
  return kDone;
}

int P2pSwitch(const PluginCall& call, bool on, const std::string& reason) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::SetP2pRequest request;
  request.set_on(on);
  request.set_reason(reason);
  api::SetP2pReply reply;
  const grpc::Status status = Stub(call)->SetP2p(&context, request, &reply);
  if (!status.ok()) return Failed(call, status);
  const int code = reply.not_kept().empty() ? kDone : kFailed;
  if (call.json) return PrintJson(reply) == kDone ? code : kFailed;
  std::cout << fmt::format("p2p: {}{}\n", Describe(reply.p2p()),
                           reply.changed() ? "" : "; the switch stood there before");
  if (!on) {
    std::cout << fmt::format("{} waiting layers go to the registry now, and so do all later ones\n",
                             reply.released_layers());
  }
  if (code != kDone) {
    std::cerr << fmt::format("eaglectl: in force, but a restart of the plugin forgets it: {}\n",
                             reply.not_kept());
  }
  return code;
}

int Reload(const PluginCall& call) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::ReloadReply reply;
  const grpc::Status status = Stub(call)->Reload(&context, {}, &reply);
  if (!status.ok()) {
    const int code = Failed(call, status);
    if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
      std::cerr << "eaglectl: nothing was changed\n";
    }
    return code;
  }
  if (call.json) return PrintJson(reply);
  for (const std::string& change : reply.changes()) std::cout << change << '\n';
  if (reply.changes().empty()) std::cout << "nothing to change\n";
  if (!reply.needs_restart().empty()) {
    std::cout << fmt::format("needs a restart of the plugin: {}\n",
                             fmt::join(reply.needs_restart(), ", "));
  }
  std::cout << fmt::format("p2p: {}\n", Describe(reply.p2p()));
  return kDone;
}

}  // namespace eagle::cli
