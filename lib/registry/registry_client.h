#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/units.h"
#include "lib/registry/authorizer.h"
#include "lib/registry/blob_fetch.h"
#include "lib/registry/blob_sink.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/credentials.h"
#include "lib/registry/origin.h"
#include "lib/registry/proxies.h"
#include "lib/registry/retries.h"
#include "lib/registry/transfer_gate.h"

namespace eagle::registry {

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};
  /// Longest wait for the next byte.
  std::chrono::milliseconds stall_timeout{30'000};
  RetryOptions retries;
  base::ByteSize max_blob_size = base::GiB(64);
  /// From this size on a blob comes in parallel parts, where the origin has
  /// `connections_per_layer`.
  base::ByteSize large_blob = base::MiB(64);
  base::ByteSize part_size = base::MiB(4);
  /// A mirror that could not be reached is passed over for so long.
  std::chrono::milliseconds mirror_pause{30'000};
};

/// A blob that one wants.
struct BlobRequest {
  /// Where it may be, in the order in which they are asked; at least one.
  std::vector<std::string> repositories;
  base::Digest digest;
  /// What its manifest says, if anything.
  std::optional<std::int64_t> size_bytes;
};

/// Fetches blobs from registries (OCI distribution spec, "Pulling blobs") in constant memory.
/// Thread-safe: fetches share tokens, limits and what is known of mirrors, nothing else.
///
/// Mirrors are asked before the endpoint, each for every repository; the next one goes on where one
/// broke off. A broken connection is resumed by a range request; 429 and 5xx are tried again after
/// a pause. Nothing is said about the bytes: the caller checks the digest.
class Client {
 public:
  /// `clock` must outlive it.
  Client(const ClientOptions& options, Proxies proxies, const base::Clock& clock);

  /// Blocks until all bytes are in the sink. Errors beside the sink's own: INVALID_ARGUMENT (not a
  /// repository), NOT_FOUND, PERMISSION_DENIED (401, 403, no token, a redirect or address that is
  /// not allowed), RESOURCE_EXHAUSTED (larger than max_blob_size), CANCELLED, UNAVAILABLE (all
  /// else). They never hold credentials, tokens or signed URLs.
  absl::Status FetchBlob(const Origin& origin, const BlobRequest& request, BlobSink& sink,
                         Cancellation& cancellation);

  /// The text of a manifest or index, at most kMaxManifestBytes, by the same way. `reference` is a
  /// tag or a digest; with a digest the bytes are the digest's. Blocks. Errors as FetchBlob()'s,
  /// and INVALID_ARGUMENT also for what is no reference.
  absl::StatusOr<std::string> FetchManifest(const Origin& origin, const std::string& repository,
                                            const std::string& reference,
                                            Cancellation& cancellation);

 private:
  std::shared_ptr<TransferGate> GateOf(const Origin& origin);
  [[nodiscard]] std::vector<Origin> EndpointsOf(const Origin& origin);
  void PauseMirror(const Origin& mirror);
  absl::Status FetchFrom(const Origin& endpoint, const BlobRequest& request, TransferGate& gate,
                         BlobFetch& fetch);

  const ClientOptions options_;
  const Proxies proxies_;
  const base::Clock& clock_;
  Credentials credentials_;
  Authorizer authorizer_;
  absl::Mutex mutex_;
  // Shared with the fetches that use them.
  std::map<std::string, std::shared_ptr<TransferGate>> gates_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, base::Clock::TimePoint> paused_until_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::registry
