#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/challenge.h"
#include "lib/registry/credentials.h"
#include "lib/registry/http_transfer.h"
#include "lib/registry/proxies.h"
#include "lib/registry/token_request.h"

namespace eagle::registry {

/// What of a server's WWW-Authenticate headers Eagle can answer: a bearer token before a password.
struct AuthorizationPlan {
  bool bearer = false;
  /// For a bearer token; `scopes` is the registry's, else pulling from `repository`.
  TokenQuery token;

  /// PERMISSION_DENIED when nothing that is offered is known or well-formed.
  static absl::StatusOr<AuthorizationPlan> Of(const std::vector<std::string>& headers,
                                              const std::string& repository);
};

/// Knows what to send as Authorization to a registry, for each repository: what its challenge asked
/// for, with tokens that are kept, renewed shortly before they expire, and asked for once however
/// many requests need one. Thread-safe.
class Authorizer {
 public:
  struct Timeouts {
    std::chrono::milliseconds connect{5'000};
    std::chrono::milliseconds stall{30'000};
  };
  /// All of these must outlive it.
  Authorizer(const Timeouts& timeouts, Credentials& credentials, const Proxies& proxies,
             const base::Clock& clock)
      : timeouts_(timeouts), credentials_(credentials), proxies_(proxies), clock_(clock) {}

  /// Value of the Authorization header for a request to `origin.endpoint`; "" while the registry
  /// has asked for none. Blocks when a token is needed, on `client`. Errors: PERMISSION_DENIED,
  /// UNAVAILABLE, CANCELLED.
  absl::StatusOr<std::string> HeaderFor(const Origin& origin, const std::string& repository,
                                        HttpClient& client, Cancellation& cancellation);

  /// The endpoint answered 401 to a request with `used` as its header: HeaderFor() now answers the
  /// challenge. PERMISSION_DENIED when that is not possible.
  absl::Status Challenged(const Origin& origin, const std::string& repository,
                          const std::vector<std::string>& headers, const std::string& used);

 private:
  struct Entry {
    AuthorizationPlan plan;
    /// "" before the first answer and after a refusal.
    std::string header;
    base::Clock::TimePoint renew_at;
    base::Clock::TimePoint expires_at;
    /// One thread asks, the others wait for the next round.
    bool renewing = false;
    std::uint64_t round = 0;
    absl::Status failure;
    /// A refresh token that the server gave for the one in the configuration.
    std::string configured_refresh_token;
    std::string rotated_refresh_token;
  };

  static std::string KeyOf(const Origin& origin, const std::string& repository);
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WaitForRound(Entry& entry, const Cancellation& cancellation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Renew(const Origin& origin, const std::string& repository,
                     const std::shared_ptr<Entry>& entry, HttpClient& client,
                     Cancellation& cancellation);
  absl::StatusOr<Token> AskForToken(const Origin& origin, const TokenQuery& query,
                                    const Credential& credential, HttpClient& client,
                                    Cancellation& cancellation);

  const Timeouts timeouts_;
  Credentials& credentials_;
  const Proxies& proxies_;
  const base::Clock& clock_;
  absl::Mutex mutex_;
  // Shared, so that an entry may be dropped while a thread works on it.
  std::map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::registry
