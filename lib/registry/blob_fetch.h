#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/units.h"
#include "lib/registry/blob_sink.h"
#include "lib/registry/blob_source.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/retries.h"

namespace eagle::registry {

struct BlobFetchOptions {
  base::ByteSize max_blob_size;
  /// A blob of at least this size may come in parallel parts of `part_size`.
  base::ByteSize large_blob;
  base::ByteSize part_size;
  /// What the caller believes the blob's size to be. It counts where the registry states none, and
  /// decides whether to begin with a part.
  std::optional<std::int64_t> size_hint;
};

/// One blob's way into a sink, from one source after the other: what has come from one is not asked
/// of the next. Not thread-safe.
class BlobFetch {
 public:
  /// `sink` and `cancellation` must outlive it.
  BlobFetch(const BlobFetchOptions& options, const base::Digest& digest, BlobSink& sink,
            Cancellation& cancellation)
      : options_(options), digest_(digest), sink_(sink), cancellation_(cancellation) {}

  /// Blocks until all bytes are in the sink, or this source can not give them.
  absl::Status From(const BlobSource::Shared& shared, const std::string& repository,
                    const RetryOptions& retry_options);

  /// Whether the failure was the sink's, the caller's or one of the limits: no other source would
  /// help.
  [[nodiscard]] bool final() const { return final_; }

 private:
  SourceResult Try(BlobSource& source);
  /// Whether the rest may come in parallel.
  [[nodiscard]] bool MayBeParallel(const BlobSource::Shared& shared) const;
  absl::Status RunParallel(const BlobSource::Shared& shared, const std::string& repository,
                           const RetryOptions& retry_options);
  absl::Status TakeHead(const ResponseHead& head, const HttpUrl& url, bool* retry);
  absl::Status TakeRange(const ResponseHead& head, bool* retry);
  absl::Status TakeTotal(std::int64_t total);
  absl::Status TakeBody(std::string_view data);
  [[nodiscard]] bool complete() const { return total_ && received_ == *total_; }

  const BlobFetchOptions options_;
  const base::Digest digest_;
  BlobSink& sink_;
  Cancellation& cancellation_;

  std::optional<std::int64_t> total_;
  std::int64_t received_ = 0;
  bool final_ = false;
  // Of the current source.
  bool ranges_work_ = true;
  bool parts_work_ = false;
  std::string etag_;
  std::string etag_host_;
  // Of the current request.
  std::optional<std::int64_t> last_;
  std::int64_t skip_ = 0;
};

}  // namespace eagle::registry
