#include "lib/registry/blob_source.h"

#include <fmt/format.h>

#include <utility>

namespace eagle::registry {
namespace {

using End = HttpResult::End;

constexpr int kMaxRedirects = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool IsBlob(int status) {
  return status == 200 || status == 206;
}

HttpUrl At(HttpUrl endpoint, std::string target) {
  endpoint.target = std::move(target);
  return endpoint;
}

absl::Status RefusalOf(int status, const std::string& where, std::string_view what,
                       bool authorized) {
  if (status == 404)
    return absl::NotFoundError(fmt::format("{} has no such {} (404)", where, what));
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(
        authorized ? fmt::format("the credentials of `origins` may not have this {} from {} ({})",
                                 what, where, status)
                   : fmt::format("{} wants credentials for this {} ({})", where, what, status));
  }
  return absl::UnavailableError(fmt::format("{} answered {}", where, status));
}

}  // namespace

// What one request of a chain leads to.
struct BlobSource::Hop {
  ResponseHead head;
  absl::Status head_status;
  bool head_retry = false;
  std::string authorization;
  std::optional<HttpUrl> next;
};

BlobSource::BlobSource(const Shared& shared, std::string repository, std::string target,
                       std::string accept, Redirects redirects)
    : shared_(shared),
      repository_(std::move(repository)),
      url_(At(shared.origin.endpoint, std::move(target))),
      accept_(std::move(accept)),
      redirects_(redirects) {}

bool BlobSource::IsEndpoint(const HttpUrl& url) const {
  return url.tls == url_.tls && url.host == url_.host && url.port == url_.port;
}

SourceResult BlobSource::Send(const HttpUrl& url, const ByteRange& range, const Reply& reply,
                              Hop* hop, Cancellation& cancellation) {
  HttpRequest request;
  request.url = url;
  request.reach = ReachOf(shared_.origin, url);
  request.range = range;
  request.accept = accept_;
  request.tls = TlsFor(shared_.origin, url);
  request.proxy = shared_.proxies.For(url);
  request.connect_timeout = shared_.connect_timeout;
  request.stall_timeout = shared_.stall_timeout;
  if (request.reach == Reach::kNowhere) {
    return {absl::PermissionDeniedError(fmt::format(
        "the registry redirects to {}, which its redirect_hosts do not allow", url.origin()))};
  }
  if (IsEndpoint(url)) {
    auto header = shared_.authorizer.HeaderFor(shared_.origin, repository_, client_, cancellation);
    if (!header.ok()) return {header.status(), absl::IsUnavailable(header.status())};
    request.authorization = hop->authorization = *std::move(header);
  }
  request.on_head = [&](const ResponseHead& head) {
    hop->head = head;
    if (!IsBlob(head.status)) return false;
    hop->head_status = reply.on_head(head, url, &hop->head_retry);
    return hop->head_status.ok();
  };
  request.on_body = [&](std::string_view data) {
    if (!shared_.gate.Arrived(static_cast<std::int64_t>(data.size()), cancellation)) {
      return absl::CancelledError("the fetch was cancelled");
    }
    return reply.on_body(data);
  };
  const TransferGate::Pass pass = shared_.gate.Enter(cancellation);
  if (!pass.valid()) return {absl::CancelledError("the fetch was cancelled")};
  return Judge(url, client_.Send(request, cancellation), hop);
}

SourceResult BlobSource::Judge(const HttpUrl& url, HttpResult result, Hop* hop) {
  SourceResult out{std::move(result.status), false, result.retry_after, 0};
  if (result.end != End::kComplete) {
    out.retry = result.end == End::kBroken;
    out.stopped = result.end == End::kStopped;
    return out;
  }
  const int status = hop->head.status;
  const std::string where = url.origin();
  if (IsBlob(status)) {
    out.status = base::Annotate(hop->head_status, where);
    out.retry = hop->head_retry;
    out.stopped = !out.status.ok() && !out.retry;
  } else if (IsRedirect(status)) {
    auto target = url.Resolve(hop->head.location);
    if (target.ok()) {
      hop->next = *std::move(target);
    } else {
      out.status = absl::UnavailableError(
          fmt::format("{} redirects to what is {}", where, base::Message(target.status())));
    }
  } else {
    const bool is_manifest = url_.target.find("/manifests/") != std::string::npos;
    out.status =
        RefusalOf(status, where, is_manifest ? "manifest" : "layer", !hop->authorization.empty());
    out.retry = status == 429 || status >= 500;
    out.http_status = status;
  }
  return out;
}

SourceResult BlobSource::Follow(HttpUrl url, const ByteRange& range,
                                const std::string& if_range_host, const Reply& reply,
                                Cancellation& cancellation) {
  bool challenged = false;
  for (int hops = 0; hops <= kMaxRedirects;) {
    ByteRange wanted = range;
    if (url.host != if_range_host) wanted.if_range.clear();
    Hop hop;
    SourceResult result = Send(url, wanted, reply, &hop, cancellation);
    if (result.http_status == 401 && IsEndpoint(url) && !challenged) {
      challenged = true;
      const absl::Status status = shared_.authorizer.Challenged(
          shared_.origin, repository_, hop.head.www_authenticate, hop.authorization);
      if (!status.ok()) return {base::Annotate(status, url.origin())};
      continue;
    }
    if (!hop.next) {
      if (result.status.ok() && redirects_ == Redirects::kRemember) remembered_ = url;
      return result;
    }
    url = *std::move(hop.next);
    ++hops;
  }
  return {absl::UnavailableError(
      fmt::format("{} redirects more than {} times", url_.origin(), kMaxRedirects))};
}

SourceResult BlobSource::Get(const ByteRange& range, const std::string& if_range_host,
                             const Reply& reply, Cancellation& cancellation) {
  if (remembered_) {
    const HttpUrl url = *std::exchange(remembered_, std::nullopt);
    SourceResult result = Follow(url, range, if_range_host, reply, cancellation);
    // A signature may have expired; that is none of the registry's failures.
    const bool refused = result.http_status >= 400 && result.http_status < 500;
    if (!refused || result.http_status == 429) return result;
  }
  return Follow(url_, range, if_range_host, reply, cancellation);
}

}  // namespace eagle::registry
