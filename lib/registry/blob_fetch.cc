#include "lib/registry/blob_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/registry/parallel_fetch.h"

namespace eagle::registry {
namespace {

std::string TargetOf(const std::string& repository, const base::Digest& digest) {
  return fmt::format("/v2/{}/blobs/{}", repository, digest.str());
}

// If-Range compares strongly (RFC 9110, 13.1.5), so a weak ETag is of no use.
bool IsStrong(std::string_view etag) {
  return etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"');
}

}  // namespace

absl::Status BlobFetch::TakeTotal(std::int64_t total) {
  if (total_) {
    if (*total_ == total) return absl::OkStatus();
    return absl::UnavailableError(
        fmt::format("the registry changed the layer's length from {} to {}", *total_, total));
  }
  if (total == 0) return absl::UnavailableError("the layer is empty");
  if (total > options_.max_blob_size.bytes) {
    final_ = true;
    return absl::ResourceExhaustedError(
        fmt::format("the layer has {} bytes, more than the {} that a layer may have", total,
                    options_.max_blob_size.str()));
  }
  total_ = total;
  absl::Status status = sink_.Begin(total);
  final_ = !status.ok();
  return status;
}

// Whether the answer is the blob, and goes on where the sink ends.
absl::Status BlobFetch::TakeHead(const ResponseHead& head, const HttpUrl& url, bool* retry) {
  if (IsStrong(head.etag)) {
    etag_ = head.etag;
    etag_host_ = url.host;
  }
  if (head.status == 206) return TakeRange(head, retry);
  skip_ = received_;
  std::optional<std::int64_t> total = head.content_length;
  if (!total) total = total_ ? total_ : options_.size_hint;
  if (!total) return absl::UnavailableError("the registry does not say how long the layer is");
  return TakeTotal(*total);
}

absl::Status BlobFetch::TakeRange(const ResponseHead& head, bool* retry) {
  skip_ = 0;
  const auto range = ContentRange::Parse(head.content_range);
  const bool asked = received_ > 0 || last_;
  if (!asked || !range.ok() || range->first != received_ || (total_ && range->total != *total_)) {
    ranges_work_ = false;
    *retry = true;
    return absl::UnavailableError("the registry answered with a range that was not asked for");
  }
  parts_work_ = last_.has_value();
  return TakeTotal(range->total);
}

absl::Status BlobFetch::TakeBody(std::string_view data) {
  const auto known = std::min<std::int64_t>(skip_, static_cast<std::int64_t>(data.size()));
  skip_ -= known;
  data.remove_prefix(static_cast<std::size_t>(known));
  if (data.empty()) return absl::OkStatus();
  if (received_ + static_cast<std::int64_t>(data.size()) > *total_) {
    return absl::UnavailableError("the registry sent more than it announced");
  }
  absl::Status status = sink_.Write(data);
  final_ = !status.ok();
  if (status.ok()) received_ += static_cast<std::int64_t>(data.size());
  return status;
}

bool BlobFetch::MayBeParallel(const BlobSource::Shared& shared) const {
  const std::int64_t size = total_ ? *total_ : options_.size_hint.value_or(0);
  return ranges_work_ && shared.origin.connections_per_layer > 1 &&
         size - received_ >= options_.large_blob.bytes;
}

SourceResult BlobFetch::Try(BlobSource& source) {
  const std::int64_t first = ranges_work_ ? received_ : 0;
  ByteRange range{first, last_, first > 0 ? etag_ : ""};
  const BlobSource::Reply reply{[this](const ResponseHead& head, const HttpUrl& url, bool* retry) {
                                  return TakeHead(head, url, retry);
                                },
                                [this](std::string_view data) { return TakeBody(data); }};
  SourceResult result = source.Get(range, etag_host_, reply, cancellation_);
  if (result.status.ok() && !complete() && !(parts_work_ && received_ == *last_ + 1)) {
    result.status = absl::UnavailableError("the registry ended its answer early");
    result.retry = true;
  }
  // 416 answers a range request; without the range it would be as odd as any other.
  if (result.http_status == 416 && ranges_work_) {
    result.retry = true;
    ranges_work_ = false;
  }
  if (cancellation_.cancelled()) {
    final_ = true;
    if (!result.status.ok()) result.status = absl::CancelledError("the fetch was cancelled");
  }
  return result;
}

absl::Status BlobFetch::RunParallel(const BlobSource::Shared& shared, const std::string& repository,
                                    const RetryOptions& retry_options) {
  ParallelFetch::Plan plan{
      repository, TargetOf(repository, digest_), received_,
      *total_,    options_.part_size.bytes,      shared.origin.connections_per_layer};
  ParallelFetch fetch(
      shared, std::move(plan), retry_options,
      [this](std::string_view data) { return TakeBody(data); }, cancellation_);
  const ParallelFetch::End end = fetch.Run();
  final_ = final_ || end.stopped;
  if (!end.no_ranges) return end.status;
  ranges_work_ = false;
  return absl::OkStatus();
}

absl::Status BlobFetch::From(const BlobSource::Shared& shared, const std::string& repository,
                             const RetryOptions& retry_options) {
  BlobSource source(shared, repository, TargetOf(repository, digest_), "",
                    BlobSource::Redirects::kFollow);
  Retries retries(retry_options);
  ranges_work_ = true;
  etag_.clear();
  etag_host_.clear();
  while (!complete()) {
    // The first part shows whether this source does ranges at all.
    parts_work_ = false;
    last_.reset();
    if (MayBeParallel(shared)) last_ = received_ + options_.part_size.bytes - 1;
    const std::int64_t before = received_;
    const SourceResult result = Try(source);
    if (result.status.ok()) {
      if (!complete()) EAGLE_RETURN_IF_ERROR(RunParallel(shared, repository, retry_options));
      continue;
    }
    if (!result.retry || final_) return result.status;
    const auto delay = retries.Failed(received_ - before, result.retry_after);
    if (!delay) {
      return base::Annotate(result.status,
                            fmt::format("gave up after {} attempts", retries.failures()));
    }
    if (!cancellation_.Sleep(*delay)) {
      final_ = true;
      return absl::CancelledError("the fetch was cancelled");
    }
  }
  return absl::OkStatus();
}

}  // namespace eagle::registry
