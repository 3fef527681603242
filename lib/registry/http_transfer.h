#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  std::string etag;
  /// Each WWW-Authenticate header's value.
  std::vector<std::string> www_authenticate;
};

/// "bytes <first>-<last>/<total>" (RFC 9110, 14.4).
struct ContentRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t total = 0;

  /// INVALID_ARGUMENT for anything else, an unknown total too.
  static absl::StatusOr<ContentRange> Parse(std::string_view text);
};

/// What part of a representation is wanted; by default all of it.
struct ByteRange {
  std::int64_t first = 0;
  /// Nothing: to the end.
  std::optional<std::int64_t> last;
  /// The part is only of use while the representation has this strong ETag (RFC 9110, 13.1.5).
  std::string if_range;
};

/// Who signs a request to an S3 service (AWS Signature Version 4).
struct AwsKey {
  std::string id;
  std::string secret;
  std::string region;
};

struct HttpRequest {
  HttpUrl url;
  Reach reach = Reach::kNowhere;
  ByteRange range;
  /// Value of the Authorization header; "" for none. Goes to this URL only.
  std::string authorization;
  /// Value of the Accept header; "" for none.
  std::string accept;
  std::string method = "GET";
  /// Nothing: no body. With one go `method` and `content_type`.
  std::optional<std::string> body;
  std::string content_type;
  /// Signs the request; then there is no `authorization`.
  std::optional<AwsKey> aws_key;
  TlsFiles tls;
  /// As Proxies::For() says. The proxy resolves the URL's name, so only an address that the URL
  /// states itself is judged then.
  std::string proxy;
  std::chrono::milliseconds connect_timeout{};
  /// Longest wait for the next byte of the answer.
  std::chrono::milliseconds stall_timeout{};
  /// Whether the answer's body is wanted.
  std::function<bool(const ResponseHead&)> on_head;
  /// An error ends the transfer.
  std::function<absl::Status(std::string_view)> on_body;
};

struct HttpResult {
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
  /// Why, unless kComplete. Holds neither targets nor credentials.
  absl::Status status;
  std::optional<std::chrono::seconds> retry_after;
};

/// HTTP requests one after the other, on connections that are kept for the next one. Redirects are
/// not followed. Not thread-safe.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;

  /// Blocks; the callbacks run on this thread. Takes `cancellation`'s wake meanwhile.
  HttpResult Send(const HttpRequest& request, Cancellation& cancellation);

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

}  // namespace eagle::registry
