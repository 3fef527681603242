#include "cli/seeder_command.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>

#include "api/seeder/seeder.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/proto_json.h"
#include "lib/base/units.h"
#include "lib/rpc/channel.h"

namespace eagle::cli {
namespace {

namespace api = eagle::seeder::v1;

constexpr std::chrono::seconds kPatience{30};

// One call of `method`; what it answers is in `*reply`.
template <typename Method, typename Request, typename Reply>
grpc::Status Ask(const SeederCall& call, Method method, const Request& request, Reply* reply) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stub = api::Seeder::NewStub(rpc::MakeChannel(call.address));
  return (stub.get()->*method)(&context, request, reply);
}

// Of a call whose answer says nothing but that it is done.
template <typename Reply, typename Method, typename Request>
int Do(const SeederCall& call, Method method, const Request& request, std::string_view done) {
  Reply reply;
  const grpc::Status status = Ask(call, method, request, &reply);
  if (!status.ok()) return SeederFailed(call.address, status);
  if (call.json) return PrintJson(reply);
  std::cout << fmt::format("{}: {}\n", request.digest(), done);
  return kDone;
}

std::string Size(std::int64_t bytes) {
  return base::ByteSize{bytes}.str();
}

}  // namespace

int SeederFailed(const std::string& address, const grpc::Status& status) {
  std::cerr << "eaglectl: " << status.error_message() << '\n';
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    std::cerr << fmt::format(
        "asked at {}; --seeder names another one, and its socket is root's alone\n", address);
  }
  return kFailed;
}

int SeederLs(const SeederCall& call, const std::string& digest_prefix) {
  api::ListLayersRequest request;
  request.set_digest_prefix(digest_prefix);
  api::ListLayersReply reply;
  const grpc::Status status = Ask(call, &api::Seeder::Stub::ListLayers, request, &reply);
  if (!status.ok()) return SeederFailed(call.address, status);
  if (call.json) return PrintJson(reply);
  std::cout << fmt::format("{:<71}  {:>12}  {:<8}  {}\n", "DIGEST", "BYTES", "STATE", "SOURCE");
  for (const api::Layer& layer : reply.layers()) {
    std::cout << fmt::format("{:<71}  {:>12}  {:<8}  {}\n", layer.digest(), layer.size(),
                             !layer.complete() ? "partial"
                             : layer.pinned()  ? "pinned"
                                               : "",
                             layer.source());
  }
  if (reply.truncated()) std::cerr << "eaglectl: there are more; give the digests' beginning\n";
  return kDone;
}

int SeederRm(const SeederCall& call, const std::string& digest) {
  api::RemoveLayerRequest request;
  request.set_digest(digest);
  request.set_from_backend(call.from_backend);
  return Do<api::RemoveLayerReply>(call, &api::Seeder::Stub::RemoveLayer, request, "removed");
}

int SeederPin(const SeederCall& call, const std::string& digest) {
  api::PinLayerRequest request;
  request.set_digest(digest);
  return Do<api::PinLayerReply>(call, &api::Seeder::Stub::PinLayer, request, "pinned");
}

int SeederUnpin(const SeederCall& call, const std::string& digest) {
  api::UnpinLayerRequest request;
  request.set_digest(digest);
  return Do<api::UnpinLayerReply>(call, &api::Seeder::Stub::UnpinLayer, request, "unpinned");
}

int SeederStatus(const SeederCall& call) {
  api::GetStatusReply reply;
  const grpc::Status status =
      Ask(call, &api::Seeder::Stub::GetStatus, api::GetStatusRequest(), &reply);
  if (!status.ok()) return SeederFailed(call.address, status);
  if (call.json) return PrintJson(reply);
  std::cout << fmt::format(
      "stored:           {} of {}, {} layers\ntorrents:         {}, {} peers\n"
      "waiting preheats: {}\nwaiting copies:   {}\n",
      Size(reply.stored_bytes()), Size(reply.storage_limit_bytes()), reply.stored_layers(),
      reply.torrents(), reply.peers(), reply.waiting_preheats(),
      reply.has_backend() ? std::to_string(reply.waiting_copies()) : "no storage back end");
  return kDone;
}

}  // namespace eagle::cli
