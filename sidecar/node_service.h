#pragma once

#include "api/node/node.grpc.pb.h"
#include "lib/blob/blob_cache.h"
#include "sidecar/layer_transfers.h"

namespace eagle::sidecar {

/// eagle.node.v1.Node: translates between the wire and the transfers.
class NodeService final : public node::v1::Node::CallbackService {
 public:
  /// Both must outlive the server that this is part of.
  NodeService(LayerTransfers& transfers, const blob::BlobCache& cache)
      : transfers_(transfers), cache_(cache) {}

  grpc::ServerWriteReactor<node::v1::FetchEvent>* Fetch(
      grpc::CallbackServerContext* context, const node::v1::FetchRequest* request) override;
  grpc::ServerUnaryReactor* Prefetch(grpc::CallbackServerContext* context,
                                     const node::v1::PrefetchRequest* request,
                                     node::v1::PrefetchReply* reply) override;
  grpc::ServerUnaryReactor* Discard(grpc::CallbackServerContext* context,
                                    const node::v1::DiscardRequest* request,
                                    node::v1::DiscardReply* reply) override;
  grpc::ServerUnaryReactor* Deleted(grpc::CallbackServerContext* context,
                                    const node::v1::DeletedRequest* request,
                                    node::v1::DeletedReply* reply) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const node::v1::GetStatusRequest* request,
                                      node::v1::GetStatusReply* reply) override;

 private:
  LayerTransfers& transfers_;
  const blob::BlobCache& cache_;
};

}  // namespace eagle::sidecar
