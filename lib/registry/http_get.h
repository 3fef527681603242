#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/http_url.h"
#include "lib/registry/origin.h"

namespace eagle::registry {

struct ResponseHead {
  int status = 0;
  /// Nothing when the server did not say, as with chunked coding.
  std::optional<std::int64_t> content_length;
  std::string content_range;
  std::string location;
};

/// "bytes <first>-<last>/<total>" (RFC 9110, 14.4).
struct ContentRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t total = 0;

  /// INVALID_ARGUMENT for anything else, an unknown total too.
  static absl::StatusOr<ContentRange> Parse(std::string_view text);
};

struct HttpGetRequest {
  HttpUrl url;
  Reach reach = Reach::kNowhere;
  /// First byte wanted; 0 asks for everything.
  std::int64_t offset = 0;
  std::chrono::milliseconds connect_timeout{};
  /// Longest wait for the next byte of the answer.
  std::chrono::milliseconds stall_timeout{};
  /// Whether the answer's body is wanted.
  std::function<bool(const ResponseHead&)> on_head;
  /// An error ends the transfer.
  std::function<absl::Status(std::string_view)> on_body;
};

struct HttpGetResult {
  enum class End {
    /// The answer is complete, or its body was not wanted.
    kComplete,
    /// The network failed: trying again may help.
    kBroken,
    /// The address is not allowed or the certificate is not valid: trying again would not help.
    kRefused,
    /// on_body failed or the fetch was cancelled.
    kStopped,
  };
  End end = End::kBroken;
  /// Why, unless kComplete.
  absl::Status status;
  std::optional<std::chrono::seconds> retry_after;
};

/// One GET on a connection of its own, without following redirects, without credentials, without
/// the environment's proxies. Blocks; the callbacks run on this thread.
HttpGetResult HttpGet(const HttpGetRequest& request, Cancellation& cancellation);

}  // namespace eagle::registry
