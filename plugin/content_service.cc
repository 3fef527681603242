#include "plugin/content_service.h"

#include <utility>

#include "lib/rpc/status.h"
#include "plugin/content_messages.h"
#include "plugin/content_streams.h"
#include "plugin/filter.h"

namespace eagle::plugin {
namespace {

namespace api = containerd::services::content::v1;

}  // namespace

// `task` runs on the pool; the messages it refers to live until the call is finished.
template <typename Task>
grpc::ServerUnaryReactor* ContentService::Unary(grpc::CallbackServerContext* context, Method method,
                                                Task task) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  parts_.calls.Post([this, reactor, method, task = std::move(task)] {
    const absl::Status status = task();
    parts_.metrics.RpcEnded(method, static_cast<int>(status.code()));
    reactor->Finish(rpc::ToGrpc(status));
  });
  return reactor;
}

grpc::ServerUnaryReactor* ContentService::Info(grpc::CallbackServerContext* context,
                                               const api::InfoRequest* request,
                                               api::InfoResponse* response) {
  return Unary(context, Method::kInfo, [this, request, response]() -> absl::Status {
    EAGLE_ASSIGN_OR_RETURN(const BlobName name, BlobName::Parse(request->digest()));
    EAGLE_ASSIGN_OR_RETURN(const BlobInfo info, parts_.store.Info(name));
    FillInfo(info, response->mutable_info());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ContentService::Update(grpc::CallbackServerContext* context,
                                                 const api::UpdateRequest* request,
                                                 api::UpdateResponse*) {
  return Unary(context, Method::kUpdate, [request]() -> absl::Status {
    EAGLE_RETURN_IF_ERROR(BlobName::Parse(request->info().digest()).status());
    // Labels live in containerd's own database; the built-in store says the same.
    return absl::FailedPreconditionError("update not supported on immutable content store");
  });
}

grpc::ServerWriteReactor<api::ListContentResponse>* ContentService::List(
    grpc::CallbackServerContext*, const api::ListContentRequest* request) {
  return NewListStream(parts_, *request);
}

grpc::ServerUnaryReactor* ContentService::Delete(grpc::CallbackServerContext* context,
                                                 const api::DeleteContentRequest* request,
                                                 google::protobuf::Empty*) {
  return Unary(context, Method::kDelete, [this, request]() -> absl::Status {
    EAGLE_ASSIGN_OR_RETURN(const BlobName name, BlobName::Parse(request->digest()));
    EAGLE_RETURN_IF_ERROR(parts_.store.Delete(name));
    if (const auto digest = base::Digest::Parse(name.str()); digest.ok()) {
      parts_.index.Forget(*digest);
      parts_.layers.Deleted(*digest);
    }
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<api::ReadContentResponse>* ContentService::Read(
    grpc::CallbackServerContext*, const api::ReadContentRequest* request) {
  return NewReadStream(parts_, *request);
}

grpc::ServerUnaryReactor* ContentService::Status(grpc::CallbackServerContext* context,
                                                 const api::StatusRequest* request,
                                                 api::StatusResponse* response) {
  return Unary(context, Method::kStatus, [this, request, response]() -> absl::Status {
    EAGLE_ASSIGN_OR_RETURN(const IngestStatus status, parts_.ingests.Status(request->ref()));
    FillStatus(status, response->mutable_status());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ContentService::ListStatuses(grpc::CallbackServerContext* context,
                                                       const api::ListStatusesRequest* request,
                                                       api::ListStatusesResponse* response) {
  return Unary(context, Method::kListStatuses, [this, request, response]() -> absl::Status {
    EAGLE_ASSIGN_OR_RETURN(const Filter filter,
                           Filter::Parse({request->filters().begin(), request->filters().end()}));
    EAGLE_ASSIGN_OR_RETURN(const std::vector<IngestStatus> statuses, parts_.ingests.List());
    for (const IngestStatus& status : statuses) {
      if (filter.Matches(FieldsOf(status))) FillStatus(status, response->add_statuses());
    }
    return absl::OkStatus();
  });
}

grpc::ServerBidiReactor<api::WriteContentRequest, api::WriteContentResponse>* ContentService::Write(
    grpc::CallbackServerContext*) {
  return NewWriteStream(parts_);
}

grpc::ServerUnaryReactor* ContentService::Abort(grpc::CallbackServerContext* context,
                                                const api::AbortRequest* request,
                                                google::protobuf::Empty*) {
  return Unary(context, Method::kAbort, [this, request]() -> absl::Status {
    EAGLE_RETURN_IF_ERROR(parts_.ingests.Abort(request->ref()));
    parts_.metrics.CountIngests(parts_.ingests.count());
    return absl::OkStatus();
  });
}

}  // namespace eagle::plugin
