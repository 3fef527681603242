#include "lib/registry/registry_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/registry/blob_url.h"
#include "lib/registry/image_name.h"
#include "lib/registry/manifest_fetch.h"

namespace eagle::registry {
namespace {

constexpr std::size_t kMaxGates = 1024;
// While there is somebody else to ask.
constexpr int kMirrorAttempts = 2;

// Of several refusals, the one that says most: what may pass, what is denied, what is not there.
int Weight(const absl::Status& status) {
  if (absl::IsNotFound(status)) return 1;
  return absl::IsPermissionDenied(status) ? 2 : 3;
}

}  // namespace

Client::Client(const ClientOptions& options, Proxies proxies, const base::Clock& clock)
    : options_(options),
      proxies_(std::move(proxies)),
      clock_(clock),
      authorizer_({options.connect_timeout, options.stall_timeout}, credentials_, proxies_, clock) {
}

std::shared_ptr<TransferGate> Client::GateOf(const Origin& origin) {
  const absl::MutexLock held(&mutex_);
  if (gates_.size() >= kMaxGates) {
    std::erase_if(gates_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  auto& gate = gates_[origin.name + " " + origin.endpoint.origin()];
  if (gate == nullptr) {
    gate = std::make_shared<TransferGate>(origin.max_connections, origin.rate_limit, clock_);
  }
  return gate;
}

std::vector<Origin> Client::EndpointsOf(const Origin& origin) {
  std::vector<Origin> endpoints;
  const absl::MutexLock held(&mutex_);
  for (const HttpUrl& mirror : origin.mirrors) {
    const auto it = paused_until_.find(mirror.origin());
    if (it != paused_until_.end() && clock_.Now() < it->second) continue;
    endpoints.push_back(origin.AtMirror(mirror));
  }
  endpoints.push_back(origin);
  return endpoints;
}

void Client::PauseMirror(const Origin& mirror) {
  const absl::MutexLock held(&mutex_);
  paused_until_[mirror.endpoint.origin()] = clock_.Now() + options_.mirror_pause;
}

absl::Status Client::FetchFrom(const Origin& endpoint, const BlobRequest& request,
                               TransferGate& gate, BlobFetch& fetch) {
  const BlobSource::Shared shared{
      endpoint, authorizer_, gate, proxies_, options_.connect_timeout, options_.stall_timeout};
  RetryOptions retries = options_.retries;
  if (endpoint.is_mirror) retries.attempts = std::min(retries.attempts, kMirrorAttempts);
  absl::Status worst;
  for (const std::string& repository : request.repositories) {
    absl::Status status = fetch.From(shared, repository, retries);
    if (status.ok() || fetch.final()) return status;
    if (worst.ok() || Weight(status) > Weight(worst)) worst = std::move(status);
    // What does not answer for one repository does not for another.
    if (absl::IsUnavailable(worst)) break;
  }
  return worst;
}

absl::Status Client::FetchBlob(const Origin& origin, const BlobRequest& request, BlobSink& sink,
                               Cancellation& cancellation) {
  if (request.repositories.empty() ||
      !std::all_of(request.repositories.begin(), request.repositories.end(), IsRepository)) {
    return absl::InvalidArgumentError("malformed repository");
  }
  BlobFetchOptions fetch_options;
  fetch_options.max_blob_size = options_.max_blob_size;
  fetch_options.large_blob = options_.large_blob;
  fetch_options.part_size = options_.part_size;
  fetch_options.size_hint = request.size_bytes;
  BlobFetch fetch(fetch_options, request.digest, sink, cancellation);
  const std::shared_ptr<TransferGate> gate = GateOf(origin);
  absl::Status status;
  for (const Origin& endpoint : EndpointsOf(origin)) {
    status = FetchFrom(endpoint, request, *gate, fetch);
    if (status.ok() || fetch.final()) return status;
    if (endpoint.is_mirror && absl::IsUnavailable(status)) PauseMirror(endpoint);
  }
  return status;
}

absl::StatusOr<std::string> Client::FetchManifest(const Origin& origin,
                                                  const std::string& repository,
                                                  const std::string& reference,
                                                  Cancellation& cancellation) {
  const auto digest = base::Digest::Parse(reference);
  if (!IsRepository(repository) || (!digest.ok() && !IsTag(reference))) {
    return absl::InvalidArgumentError("malformed repository or reference");
  }
  const std::shared_ptr<TransferGate> gate = GateOf(origin);
  absl::StatusOr<std::string> text;
  for (const Origin& endpoint : EndpointsOf(origin)) {
    const BlobSource::Shared shared{
        endpoint, authorizer_, *gate, proxies_, options_.connect_timeout, options_.stall_timeout};
    RetryOptions retries = options_.retries;
    if (endpoint.is_mirror) retries.attempts = std::min(retries.attempts, kMirrorAttempts);
    text = FetchManifestFrom(shared, {repository, reference}, retries, cancellation);
    if (text.ok() || cancellation.cancelled()) return text;
    if (endpoint.is_mirror && absl::IsUnavailable(text.status())) PauseMirror(endpoint);
  }
  return text;
}

}  // namespace eagle::registry
