#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "lib/registry/authorizer.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/http_transfer.h"
#include "lib/registry/origin.h"
#include "lib/registry/proxies.h"
#include "lib/registry/transfer_gate.h"

namespace eagle::registry {

/// How one request for a blob ended.
struct SourceResult {
  absl::Status status;
  /// Whether another try may help.
  bool retry = false;
  std::optional<std::chrono::seconds> retry_after = std::nullopt;
  /// The HTTP status, when the server's answer is why.
  int http_status = 0;
  /// Ended by the caller: by its callbacks or by cancellation.
  bool stopped = false;
};

/// One thing in one repository of one endpoint, as often as one asks for it: authorizes requests,
/// answers challenges and follows redirects, five at most and only where the origin allows. The
/// Authorization header goes to the endpoint's own scheme, host and port, never further. Not
/// thread-safe.
class BlobSource {
 public:
  /// What sources of one origin share; all must outlive them.
  struct Shared {
    const Origin& origin;
    Authorizer& authorizer;
    TransferGate& gate;
    const Proxies& proxies;
    std::chrono::milliseconds connect_timeout;
    std::chrono::milliseconds stall_timeout;
  };
  enum class Redirects {
    /// Every request begins at the registry.
    kFollow,
    /// Where the last request ended well, the next one begins, until that fails.
    kRemember,
  };
  /// `target` is the path at the endpoint; `accept` as in HttpRequest.
  BlobSource(const Shared& shared, std::string repository, std::string target, std::string accept,
             Redirects redirects);

  struct Reply {
    /// The head of a 200 or 206; an error ends the request with it, and `retry` says whether it is
    /// worth another try.
    std::function<absl::Status(const ResponseHead&, const HttpUrl& url, bool* retry)> on_head;
    /// An error stops the fetch.
    std::function<absl::Status(std::string_view)> on_body;
  };
  /// Blocks. NOT_FOUND (404), PERMISSION_DENIED (401, 403, a redirect or address that is not
  /// allowed), CANCELLED, UNAVAILABLE (all else), or what the callbacks said. `if_range_host`: the
  /// range's if_range is only sent to this host.
  SourceResult Get(const ByteRange& range, const std::string& if_range_host, const Reply& reply,
                   Cancellation& cancellation);

 private:
  struct Hop;
  SourceResult Follow(HttpUrl url, const ByteRange& range, const std::string& if_range_host,
                      const Reply& reply, Cancellation& cancellation);
  SourceResult Send(const HttpUrl& url, const ByteRange& range, const Reply& reply, Hop* hop,
                    Cancellation& cancellation);
  SourceResult Judge(const HttpUrl& url, HttpResult result, Hop* hop);
  [[nodiscard]] bool IsEndpoint(const HttpUrl& url) const;

  const Shared shared_;
  const std::string repository_;
  const HttpUrl url_;
  const std::string accept_;
  const Redirects redirects_;
  std::optional<HttpUrl> remembered_;
  HttpClient client_;
};

}  // namespace eagle::registry
