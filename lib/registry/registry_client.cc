#include "lib/registry/registry_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "lib/registry/blob_url.h"
#include "lib/registry/http_get.h"

namespace eagle::registry {
namespace {

using End = HttpGetResult::End;

constexpr int kMaxRedirects = 5;
constexpr std::int64_t kProgressBytes = 1 << 20;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

absl::Status RefusalOf(int status, const std::string& where) {
  if (status == 404) return absl::NotFoundError(fmt::format("{} has no such layer (404)", where));
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(
        fmt::format("{} wants credentials for this layer ({}); this version of the seeder fetches "
                    "only what needs none",
                    where, status));
  }
  return absl::UnavailableError(fmt::format("{} answered {}", where, status));
}

// One blob's way here: as many attempts as it takes, each from the registry's own URL on, as the
// signature of a redirect may have expired.
class Fetch {
 public:
  Fetch(const ClientOptions& options, const Origin& origin, HttpUrl url, BlobSink& sink,
        Cancellation& cancellation)
      : options_(options),
        origin_(origin),
        url_(std::move(url)),
        sink_(sink),
        cancellation_(cancellation) {}

  absl::Status Run();

 private:
  struct Attempt {
    bool retry = false;
    absl::Status status;
    std::optional<std::chrono::seconds> retry_after;
  };

  static Attempt Failed(absl::Status status) { return {false, std::move(status), std::nullopt}; }
  Attempt Try();
  Attempt FollowedTo(const HttpUrl& url, std::optional<HttpUrl>* next);
  Attempt Judge(const HttpUrl& url, HttpGetResult result, std::optional<HttpUrl>* next);
  absl::Status TakeHead(const ResponseHead& head);
  absl::Status TakeRange(const ResponseHead& head);
  absl::Status TakeBody(std::string_view data);
  std::chrono::milliseconds Delay(int failures, std::optional<std::chrono::seconds> retry_after);

  const ClientOptions& options_;
  const Origin& origin_;
  const HttpUrl url_;
  BlobSink& sink_;
  Cancellation& cancellation_;
  std::minstd_rand random_{std::random_device{}()};

  std::optional<std::int64_t> total_;
  std::int64_t received_ = 0;
  // Bytes of the current answer that are in the sink already.
  std::int64_t skip_ = 0;
  bool ranges_work_ = true;
  // Of the current answer.
  ResponseHead head_;
  absl::Status head_status_;
};

// Whether the answer is the blob, and goes on where the sink ends.
absl::Status Fetch::TakeHead(const ResponseHead& head) {
  if (head.status == 206) return TakeRange(head);
  if (!head.content_length) {
    return absl::UnavailableError("the registry does not say how long the layer is");
  }
  if (total_ && *total_ != *head.content_length) {
    return absl::UnavailableError(fmt::format(
        "the registry changed the layer's length from {} to {}", *total_, *head.content_length));
  }
  skip_ = received_;
  if (total_) return absl::OkStatus();
  if (*head.content_length == 0) return absl::UnavailableError("the layer is empty");
  if (*head.content_length > options_.max_blob_size.bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("the layer has {} bytes, more than the {} that a layer may have",
                    *head.content_length, options_.max_blob_size.str()));
  }
  total_ = head.content_length;
  return sink_.Begin(*total_);
}

absl::Status Fetch::TakeRange(const ResponseHead& head) {
  skip_ = 0;
  const auto range = ContentRange::Parse(head.content_range);
  if (received_ > 0 && range.ok() && range->first == received_ && range->total == *total_) {
    return absl::OkStatus();
  }
  ranges_work_ = false;
  return absl::UnavailableError("the registry answered with a range that was not asked for");
}

absl::Status Fetch::TakeBody(std::string_view data) {
  const auto known = std::min<std::int64_t>(skip_, static_cast<std::int64_t>(data.size()));
  skip_ -= known;
  data.remove_prefix(static_cast<std::size_t>(known));
  if (data.empty()) return absl::OkStatus();
  if (received_ + static_cast<std::int64_t>(data.size()) > *total_) {
    return absl::UnavailableError("the registry sent more than it announced");
  }
  EAGLE_RETURN_IF_ERROR(sink_.Write(data));
  received_ += static_cast<std::int64_t>(data.size());
  return absl::OkStatus();
}

// One GET; `next` is set when the answer is a redirect to be followed.
Fetch::Attempt Fetch::FollowedTo(const HttpUrl& url, std::optional<HttpUrl>* next) {
  HttpGetRequest request;
  request.url = url;
  request.reach = ReachOf(origin_, url);
  request.offset = ranges_work_ ? received_ : 0;
  request.connect_timeout = options_.connect_timeout;
  request.stall_timeout = options_.stall_timeout;
  if (request.reach == Reach::kNowhere) {
    return Failed(absl::PermissionDeniedError(fmt::format(
        "the registry redirects to {}, which its redirect_hosts do not allow", url.origin())));
  }
  head_ = ResponseHead();
  head_status_ = absl::OkStatus();
  request.on_head = [this](const ResponseHead& head) {
    head_ = head;
    if (head.status != 200 && head.status != 206) return false;
    head_status_ = TakeHead(head);
    return head_status_.ok();
  };
  request.on_body = [this](std::string_view data) { return TakeBody(data); };
  return Judge(url, HttpGet(request, cancellation_), next);
}

Fetch::Attempt Fetch::Judge(const HttpUrl& url, HttpGetResult result,
                            std::optional<HttpUrl>* next) {
  Attempt attempt{false, std::move(result.status), result.retry_after};
  if (result.end != End::kComplete) {
    attempt.retry = result.end == End::kBroken;
    return attempt;
  }
  const int status = head_.status;
  const std::string where = url.origin();
  if (status == 200 || status == 206) {
    attempt.status = base::Annotate(head_status_, where);
    // The next attempt asks without a range.
    attempt.retry = status == 206;
    if (attempt.status.ok() && received_ < *total_) {
      attempt = {true, absl::UnavailableError(fmt::format("{} ended its answer early", where)),
                 std::nullopt};
    }
  } else if (IsRedirect(status)) {
    auto target = url.Resolve(head_.location);
    if (target.ok()) {
      *next = *std::move(target);
    } else {
      attempt.status = absl::UnavailableError(
          fmt::format("{} redirects to what is {}", where, base::Message(target.status())));
    }
  } else {
    attempt.status = RefusalOf(status, where);
    // 416 answers a range request; without the range it would be as odd as any other.
    attempt.retry = status == 429 || status >= 500 || (status == 416 && ranges_work_);
    if (status == 416) ranges_work_ = false;
  }
  return attempt;
}

Fetch::Attempt Fetch::Try() {
  HttpUrl url = url_;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    std::optional<HttpUrl> next;
    Attempt attempt = FollowedTo(url, &next);
    if (!next) return attempt;
    url = *std::move(next);
  }
  return Failed(absl::UnavailableError(
      fmt::format("{} redirects more than {} times", url_.origin(), kMaxRedirects)));
}

std::chrono::milliseconds Fetch::Delay(int failures,
                                       std::optional<std::chrono::seconds> retry_after) {
  auto delay = options_.retry_delay * (std::int64_t{1} << std::min(failures - 1, 20));
  delay = delay * std::uniform_int_distribution<>(50, 150)(random_) / 100;
  if (retry_after) delay = std::max<std::chrono::milliseconds>(delay, *retry_after);
  return std::min(delay, options_.max_retry_delay);
}

absl::Status Fetch::Run() {
  int failures = 0;
  while (true) {
    const std::int64_t before = received_;
    const Attempt attempt = Try();
    if (attempt.status.ok() || !attempt.retry) return attempt.status;
    if (received_ - before >= kProgressBytes) failures = 0;
    if (++failures >= options_.attempts) {
      return base::Annotate(attempt.status, fmt::format("gave up after {} attempts", failures));
    }
    if (!cancellation_.Sleep(Delay(failures, attempt.retry_after))) {
      return absl::CancelledError("the fetch was cancelled");
    }
  }
}

}  // namespace

absl::Status Client::FetchBlob(const Origin& origin, const std::string& repository,
                               const base::Digest& digest, BlobSink& sink,
                               Cancellation& cancellation) const {
  if (!IsRepository(repository)) return absl::InvalidArgumentError("malformed repository");
  HttpUrl url = origin.endpoint;
  url.target = fmt::format("/v2/{}/blobs/{}", repository, digest.str());
  return Fetch(options_, origin, std::move(url), sink, cancellation).Run();
}

}  // namespace eagle::registry
