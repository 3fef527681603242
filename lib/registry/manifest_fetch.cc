#include "lib/registry/manifest_fetch.h"

#include <fmt/format.h>

#include "lib/base/digest.h"
#include "lib/registry/manifest.h"

namespace eagle::registry {
namespace {

// Digest and length of what was received are right.
absl::Status Check(const std::string& text, const std::string& reference) {
  const auto digest = base::Digest::Parse(reference);
  if (!digest.ok() || base::Digest::Of(text) == *digest) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("the registry sent a manifest with the digest {}", base::Digest::Of(text).str()));
}

SourceResult Try(BlobSource& source, const ManifestPlace& place, std::string* text,
                 Cancellation& cancellation) {
  text->clear();
  const absl::Status too_large = absl::ResourceExhaustedError(
      fmt::format("the manifest has more than {} bytes", kMaxManifestBytes));
  const BlobSource::Reply reply{
      [&](const ResponseHead& head, const HttpUrl&, bool*) {
        return head.content_length.value_or(0) > kMaxManifestBytes ? too_large : absl::OkStatus();
      },
      [&](std::string_view data) {
        if (static_cast<std::int64_t>(text->size() + data.size()) > kMaxManifestBytes) {
          return too_large;
        }
        text->append(data);
        return absl::OkStatus();
      }};
  SourceResult result = source.Get({}, "", reply, cancellation);
  if (result.status.ok()) {
    result.status = Check(*text, place.reference);
    result.retry = !result.status.ok();
  }
  return result;
}

}  // namespace

absl::StatusOr<std::string> FetchManifestFrom(const BlobSource::Shared& shared,
                                              const ManifestPlace& place,
                                              const RetryOptions& retry_options,
                                              Cancellation& cancellation) {
  BlobSource source(shared, place.repository,
                    fmt::format("/v2/{}/manifests/{}", place.repository, place.reference),
                    kManifestTypes, BlobSource::Redirects::kFollow);
  Retries retries(retry_options);
  while (true) {
    std::string text;
    const SourceResult result = Try(source, place, &text, cancellation);
    if (result.status.ok()) return text;
    if (cancellation.cancelled()) return absl::CancelledError("the fetch was cancelled");
    if (!result.retry) return result.status;
    const auto delay = retries.Failed(0, result.retry_after);
    if (!delay) {
      return base::Annotate(result.status,
                            fmt::format("gave up after {} attempts", retries.failures()));
    }
    if (!cancellation.Sleep(*delay)) return absl::CancelledError("the fetch was cancelled");
  }
}

}  // namespace eagle::registry
