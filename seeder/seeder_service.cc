#include "seeder/seeder_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/rpc/status.h"

namespace eagle::seeder {
namespace {

constexpr std::int32_t kMaxListed = 10'000;

void Fill(const StoredLayer& layer, v1::Layer* out) {
  out->set_digest(layer.digest.str());
  out->set_size(layer.size_bytes);
  out->set_complete(layer.complete);
  out->set_source(layer.source);
  out->set_last_used(
      std::chrono::duration_cast<std::chrono::seconds>(layer.last_used.time_since_epoch()).count());
}

}  // namespace

grpc::ServerUnaryReactor* SeederService::Answer(grpc::CallbackServerContext* context,
                                                std::function<absl::Status()> work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  worker_.Post([reactor, work = std::move(work)] { reactor->Finish(rpc::ToGrpc(work())); });
  return reactor;
}

grpc::ServerUnaryReactor* SeederService::ListLayers(grpc::CallbackServerContext* context,
                                                    const v1::ListLayersRequest* request,
                                                    v1::ListLayersReply* reply) {
  return Answer(context, [this, request, reply] {
    if (request->limit() < 0) return absl::InvalidArgumentError("limit must not be negative");
    const std::int32_t limit =
        request->limit() == 0 ? kMaxListed : std::min(request->limit(), kMaxListed);
    const LayerAdmin::Listing listing =
        admin_.List(request->digest_prefix(), static_cast<std::size_t>(limit));
    for (const StoredLayer& layer : listing.layers) {
      v1::Layer* out = reply->add_layers();
      Fill(layer, out);
      out->set_pinned(pins_.Has(layer.digest));
    }
    reply->set_truncated(listing.truncated);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SeederService::RemoveLayer(grpc::CallbackServerContext* context,
                                                     const v1::RemoveLayerRequest* request,
                                                     v1::RemoveLayerReply*) {
  return Answer(context, [this, request] {
    const auto digest = base::Digest::Parse(request->digest());
    if (!digest.ok()) return digest.status();
    return admin_.Remove(*digest, request->from_backend() ? LayerAdmin::From::kDiskAndBackend
                                                          : LayerAdmin::From::kDisk);
  });
}

grpc::ServerUnaryReactor* SeederService::PinLayer(grpc::CallbackServerContext* context,
                                                  const v1::PinLayerRequest* request,
                                                  v1::PinLayerReply*) {
  return Answer(context, [this, request] {
    const auto digest = base::Digest::Parse(request->digest());
    return digest.ok() ? pins_.Pin(*digest) : digest.status();
  });
}

grpc::ServerUnaryReactor* SeederService::UnpinLayer(grpc::CallbackServerContext* context,
                                                    const v1::UnpinLayerRequest* request,
                                                    v1::UnpinLayerReply*) {
  return Answer(context, [this, request] {
    const auto digest = base::Digest::Parse(request->digest());
    return digest.ok() ? pins_.Unpin(*digest) : digest.status();
  });
}

grpc::ServerUnaryReactor* SeederService::GetStatus(grpc::CallbackServerContext* context,
                                                   const v1::GetStatusRequest*,
                                                   v1::GetStatusReply* reply) {
  return Answer(context, [this, reply] {
    const Storage::Usage usage = storage_.GetUsage();
    const swarm::SessionTotals totals = swarm_.Totals();
    reply->set_stored_bytes(usage.bytes);
    reply->set_storage_limit_bytes(usage.limit_bytes);
    reply->set_stored_layers(usage.layers);
    reply->set_torrents(totals.torrents);
    reply->set_peers(totals.peers);
    reply->set_waiting_copies(admin_.WaitingCopies());
    reply->set_has_backend(admin_.has_backend());
    reply->set_waiting_preheats(preheater_.waiting());
    return absl::OkStatus();
  });
}

}  // namespace eagle::seeder
