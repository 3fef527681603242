#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/units.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/origin.h"

namespace eagle::registry {

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};
  /// Longest wait for the next byte.
  std::chrono::milliseconds stall_timeout{30'000};
  /// Attempts that may fail in a row; one that brought at least 1 MiB starts the count anew.
  int attempts = 5;
  /// Waits before the second attempt; doubled for each further one, and jittered by half.
  std::chrono::milliseconds retry_delay{250};
  /// No wait is longer, whatever Retry-After asks for.
  std::chrono::milliseconds max_retry_delay{10'000};
  base::ByteSize max_blob_size = base::GiB(64);
};

/// Takes a blob's bytes as they come. Called on the thread that fetches. An error ends the fetch,
/// which then returns it.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  /// Once, before the first byte: the length that the registry states.
  virtual absl::Status Begin(std::int64_t size_bytes) = 0;
  /// In order, each byte once, never more than `size_bytes`.
  virtual absl::Status Write(std::string_view data) = 0;
};

/// Fetches blobs from registries (OCI distribution spec, "Pulling blobs") without credentials, in
/// constant memory. Thread-safe: every fetch is on its own.
///
/// Redirects are followed hop by hop, five at most, and only where the origin allows (ReachOf()). A
/// broken connection is resumed by a range request; 429 and 5xx are tried again after a pause.
/// Nothing is said about the bytes: the caller checks the digest.
class Client {
 public:
  explicit Client(const ClientOptions& options) : options_(options) {}

  /// Blocks until all bytes are in the sink. Errors beside the sink's own: NOT_FOUND,
  /// PERMISSION_DENIED (401, 403, a redirect or address that is not allowed), RESOURCE_EXHAUSTED
  /// (larger than max_blob_size), CANCELLED, UNAVAILABLE (everything else).
  absl::Status FetchBlob(const Origin& origin, const std::string& repository,
                         const base::Digest& digest, BlobSink& sink,
                         Cancellation& cancellation) const;

 private:
  ClientOptions options_;
};

}  // namespace eagle::registry
