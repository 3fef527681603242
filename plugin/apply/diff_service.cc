#include "plugin/apply/diff_service.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "lib/rpc/status.h"
#include "plugin/apply/media_type.h"

namespace eagle::apply {
namespace {

namespace diff = containerd::services::diff::v1;

absl::StatusOr<ApplyRequest> Translate(const diff::ApplyRequest& from) {
  if (!from.payloads().empty()) {
    return absl::UnimplementedError("payloads are for stream processors, which are not here");
  }
  ApplyRequest request;
  EAGLE_ASSIGN_OR_RETURN(request.compression, CompressionOf(from.diff().media_type()));
  request.sync_fs = from.sync_fs();
  for (const containerd::types::Mount& mount : from.mounts()) {
    request.mounts.push_back({mount.type(),
                              mount.source(),
                              mount.target(),
                              {mount.options().begin(), mount.options().end()}});
  }
  return request;
}

}  // namespace

// One call. It stays until both the task on the pool and gRPC are done with it: the task holds the
// object by Finish(), which comes last in it.
class DiffService::ApplyCall final : public grpc::ServerUnaryReactor {
 public:
  ApplyCall(DiffService& service, const diff::ApplyRequest& request, diff::ApplyResponse& response)
      : service_(service), request_(request), response_(response) {}

  void OnCancel() override { cancellation_.Cancel(); }
  void OnDone() override { delete this; }

  void Run() {
    absl::Status status = Apply();
    if (!status.ok()) {
      status = base::Annotate(status, fmt::format("apply {}", request_.diff().digest()));
    }
    Finish(rpc::ToGrpc(status));
  }

 private:
  absl::Status Apply() {
    EAGLE_ASSIGN_OR_RETURN(ApplyRequest request, Translate(request_));
    request.limits = service_.options_.limits;
    EAGLE_RETURN_IF_ERROR(cancellation_.Check());
    EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd blob,
                           service_.blobs_.OpenBlob(request_.diff().digest()));
    const auto start = std::chrono::steady_clock::now();
    auto result = service_.applier_.Apply(request, blob.get(), cancellation_);
    Report(result, std::chrono::steady_clock::now() - start);
    EAGLE_RETURN_IF_ERROR(result.status());
    containerd::types::Descriptor& applied = *response_.mutable_applied();
    applied.set_media_type(std::string(kUncompressedLayer));
    applied.set_digest(result->digest.str());
    applied.set_size(result->size_bytes);
    return absl::OkStatus();
  }

  void Report(const absl::StatusOr<ApplyResult>& result, std::chrono::duration<double> duration) {
    if (service_.options_.on_outcome == nullptr) return;
    ApplyOutcome outcome;
    outcome.status = result.status();
    outcome.digest = request_.diff().digest();
    outcome.compressed_bytes = request_.diff().size();
    outcome.seconds = duration.count();
    if (result.ok()) outcome.result = *result;
    service_.options_.on_outcome(outcome);
  }

  DiffService& service_;
  const diff::ApplyRequest& request_;
  diff::ApplyResponse& response_;
  Cancellation cancellation_;
};

DiffService::DiffService(BlobOpener& blobs, Applier& applier, DiffServiceOptions options)
    : blobs_(blobs), applier_(applier), options_(std::move(options)), pool_(options_.concurrency) {}

DiffService::~DiffService() = default;

grpc::ServerUnaryReactor* DiffService::Apply(grpc::CallbackServerContext* /*context*/,
                                             const diff::ApplyRequest* request,
                                             diff::ApplyResponse* response) {
  auto* call = new ApplyCall(*this, *request, *response);
  pool_.Post([call] { call->Run(); });
  return call;
}

grpc::ServerUnaryReactor* DiffService::Diff(grpc::CallbackServerContext* context,
                                            const diff::DiffRequest* /*request*/,
                                            diff::DiffResponse* /*response*/) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish({grpc::StatusCode::UNIMPLEMENTED, "diffs are left to the next differ"});
  return reactor;
}

}  // namespace eagle::apply
