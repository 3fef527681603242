#pragma once

#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "plugin/apply/pipeline.h"

namespace eagle::apply {

/// What the plugin and its worker process say to each other over a stream socket: one request, one
/// reply. Both are the same binary, so that the format may change with it. The reader of a reply
/// trusts nothing in it: a hostile layer may have taken the worker over.
struct WorkerRequest {
  ApplyRequest apply;
  /// As in LayerTarget; "" when no mount is needed.
  std::string mount_point;
};

std::string EncodeRequest(const WorkerRequest& request);
absl::StatusOr<WorkerRequest> DecodeRequest(std::string_view bytes);

std::string EncodeReply(const absl::StatusOr<ApplyResult>& result);
/// The worker's result or error, or INTERNAL for bytes that are neither.
absl::StatusOr<ApplyResult> DecodeReply(std::string_view bytes);

/// Sends all of `bytes` and ends this direction of the socket. UNAVAILABLE when the peer is gone.
absl::Status SendMessage(int socket, std::string_view bytes);
/// Receives until the peer ends its direction, or CANCELLED. RESOURCE_EXHAUSTED for more than
/// `most` bytes.
absl::StatusOr<std::string> ReceiveMessage(int socket, std::size_t most,
                                           const Cancellation& cancellation);

inline constexpr std::size_t kMaxRequestBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxReplyBytes = std::size_t{64} << 10;

}  // namespace eagle::apply
