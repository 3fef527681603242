#pragma once

#include "api/metainfo/metainfo.grpc.pb.h"
#include "seeder/layer_fetches.h"
#include "seeder/seeder_metrics.h"

namespace eagle::seeder {

/// metainfo.MetaInfo over LayerFetches: takes requests apart and hands answers on. Both must
/// outlive the server it is registered with.
class MetaInfoService final : public metainfo::MetaInfo::CallbackService {
 public:
  MetaInfoService(LayerFetches& fetches, SeederMetrics& metrics)
      : fetches_(fetches), metrics_(metrics) {}

  grpc::ServerUnaryReactor* GetMetaInfo(grpc::CallbackServerContext* context,
                                        const metainfo::MetaInfoRequest* request,
                                        metainfo::MetaInfoReply* reply) override;
  grpc::ServerWriteReactor<metainfo::MetaInfoProgress>* WatchMetaInfo(
      grpc::CallbackServerContext* context, const metainfo::MetaInfoRequest* request) override;

 private:
  LayerFetches& fetches_;
  SeederMetrics& metrics_;
};

}  // namespace eagle::seeder
