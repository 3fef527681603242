#pragma once

#include "api/content/content.grpc.pb.h"
#include "lib/base/thread_pool.h"
#include "plugin/content_store.h"
#include "plugin/ingest_store.h"
#include "plugin/layer_supply.h"
#include "plugin/manifest_index.h"
#include "plugin/plugin_metrics.h"

namespace eagle::plugin {

/// What the content service works with; all of it outlives the server.
struct ContentParts {
  ContentStore& store;
  IngestStore& ingests;
  ManifestIndex& index;
  LayerSupply& layers;
  PluginMetrics& metrics;
  /// For everything that containerd calls inside its transactions or under its locks.
  base::ThreadPool& calls;
  /// For data, hashing, syncing.
  base::ThreadPool& bulk;
  /// For reads that the page cache cannot answer.
  base::ThreadPool& reads;
};

/// containerd's content store service. Translates and delegates; nothing blocks on gRPC's threads.
class ContentService final : public containerd::services::content::v1::Content::CallbackService {
 public:
  explicit ContentService(const ContentParts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* Info(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::InfoRequest* request,
      containerd::services::content::v1::InfoResponse* response) override;
  grpc::ServerUnaryReactor* Update(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::UpdateRequest* request,
      containerd::services::content::v1::UpdateResponse* response) override;
  grpc::ServerWriteReactor<containerd::services::content::v1::ListContentResponse>* List(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::ListContentRequest* request) override;
  grpc::ServerUnaryReactor* Delete(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::DeleteContentRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerWriteReactor<containerd::services::content::v1::ReadContentResponse>* Read(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::ReadContentRequest* request) override;
  grpc::ServerUnaryReactor* Status(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::StatusRequest* request,
      containerd::services::content::v1::StatusResponse* response) override;
  grpc::ServerUnaryReactor* ListStatuses(
      grpc::CallbackServerContext* context,
      const containerd::services::content::v1::ListStatusesRequest* request,
      containerd::services::content::v1::ListStatusesResponse* response) override;
  grpc::ServerBidiReactor<containerd::services::content::v1::WriteContentRequest,
                          containerd::services::content::v1::WriteContentResponse>*
  Write(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const containerd::services::content::v1::AbortRequest* request,
                                  google::protobuf::Empty* response) override;

 private:
  template <typename Task>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, Method method, Task task);

  const ContentParts parts_;
};

}  // namespace eagle::plugin
