#pragma once

#include <grpcpp/support/status.h>

#include "lib/base/status.h"

namespace eagle::rpc {

/// absl and gRPC number their codes alike; the message goes along unchanged.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace eagle::rpc
