#pragma once

#include <functional>
#include <string>

#include "api/diff/diff.grpc.pb.h"
#include "lib/base/status.h"
#include "lib/base/thread_pool.h"
#include "lib/base/unique_fd.h"
#include "plugin/apply/worker_client.h"

namespace eagle::apply {

/// Where the blobs of layers are.
class BlobOpener {
 public:
  virtual ~BlobOpener() = default;

  /// The whole blob, open for reading; `digest` is what the caller of the service sent. NOT_FOUND
  /// when the store has none, INVALID_ARGUMENT when it is no digest. Thread-safe; may block.
  virtual absl::StatusOr<base::UniqueFd> OpenBlob(const std::string& digest) = 0;
};

/// One finished Apply, for logs and metrics.
struct ApplyOutcome {
  absl::Status status;
  std::string digest;
  std::int64_t compressed_bytes = 0;
  double seconds = 0;
  /// Only of a success.
  ApplyResult result;
};

struct DiffServiceOptions {
  /// Applies at once; more wait.
  std::size_t concurrency = 8;
  ApplyLimits limits = {};
  /// Called on one of the service's threads after each Apply that got as far as the blob.
  std::function<void(const ApplyOutcome&)> on_outcome = nullptr;
};

/// containerd.services.diff.v1.Diff: Apply unpacks a layer of the store into the caller's mounts.
/// UNIMPLEMENTED, which makes containerd ask its next applier, comes before the mounts are touched:
/// for Diff, for stream processors' payloads, and for media types and mounts that are none of ours.
/// A cancelled call kills its worker. Thread-safe; collaborators must outlive it.
class DiffService final : public containerd::services::diff::v1::Diff::CallbackService {
 public:
  DiffService(BlobOpener& blobs, Applier& applier, DiffServiceOptions options);
  /// The server must have stopped before.
  ~DiffService() override;

  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context,
                                  const containerd::services::diff::v1::ApplyRequest* request,
                                  containerd::services::diff::v1::ApplyResponse* response) override;
  grpc::ServerUnaryReactor* Diff(grpc::CallbackServerContext* context,
                                 const containerd::services::diff::v1::DiffRequest* request,
                                 containerd::services::diff::v1::DiffResponse* response) override;

 private:
  class ApplyCall;

  BlobOpener& blobs_;
  Applier& applier_;
  DiffServiceOptions options_;
  // Last: its tasks use all of the above.
  base::ThreadPool pool_;
};

}  // namespace eagle::apply
