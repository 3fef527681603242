#include "lib/registry/authorizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace eagle::registry {
namespace {

constexpr std::size_t kMaxEntries = 4096;
constexpr std::size_t kMaxScopes = 16;
constexpr std::size_t kMaxParameter = 4096;
// A changed password is noticed at the latest after so long, or when the old one is refused.
constexpr std::chrono::minutes kBasicLifetime{5};
// A token is renewed this long before it expires, but not before half of its life is over.
constexpr std::chrono::seconds kRenewBefore{30};
constexpr std::chrono::seconds kRenewPause{1};
constexpr absl::Duration kCancellationPoll = absl::Milliseconds(50);

std::vector<std::string> SplitScopes(std::string_view text) {
  std::vector<std::string> scopes;
  while (!text.empty() && scopes.size() < kMaxScopes) {
    const std::size_t end = text.find(' ');
    if (end != 0) scopes.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return scopes;
}

std::optional<TokenQuery> QueryOf(const Challenge& challenge, const std::string& repository) {
  const auto realm = HttpUrl::Parse(challenge.Parameter("realm").value_or(""));
  const std::string service = challenge.Parameter("service").value_or("");
  const std::string scope = challenge.Parameter("scope").value_or("");
  if (!realm.ok() || service.size() > kMaxParameter || scope.size() > kMaxParameter) {
    return std::nullopt;
  }
  TokenQuery query{*realm, service, SplitScopes(scope)};
  if (query.scopes.empty()) query.scopes = {fmt::format("repository:{}:pull", repository)};
  return query;
}

absl::Status NoCredentials(const Origin& origin) {
  return absl::PermissionDeniedError(
      fmt::format("{} wants credentials for this layer; set `credentials` of {} in the seeder's "
                  "`origins`, or docker_config",
                  origin.endpoint.origin(), origin.name.empty() ? "it" : origin.name));
}

}  // namespace

absl::StatusOr<AuthorizationPlan> AuthorizationPlan::Of(const std::vector<std::string>& headers,
                                                        const std::string& repository) {
  bool basic = false;
  for (const std::string& header : headers) {
    const auto challenges = ParseChallenges(header);
    if (!challenges.ok()) continue;
    for (const Challenge& challenge : *challenges) {
      basic = basic || challenge.scheme == "basic";
      if (challenge.scheme != "bearer") continue;
      if (auto query = QueryOf(challenge, repository)) {
        return AuthorizationPlan{true, *std::move(query)};
      }
    }
  }
  if (basic) return AuthorizationPlan{};
  return absl::PermissionDeniedError(
      "wants credentials, but offers neither Basic nor a Bearer token to show them");
}

std::string Authorizer::KeyOf(const Origin& origin, const std::string& repository) {
  // The name too: it is part of where credentials are looked for.
  return fmt::format("{} {} {}", origin.endpoint.origin(), origin.is_mirror ? "" : origin.name,
                     repository);
}

void Authorizer::MakeRoom() {
  if (entries_.size() < kMaxEntries) return;
  const auto now = clock_.Now();
  std::erase_if(entries_, [&](const auto& item) {
    return !item.second->renewing && item.second->renew_at <= now;
  });
  while (entries_.size() >= kMaxEntries) entries_.erase(entries_.begin());
}

absl::Status Authorizer::Challenged(const Origin& origin, const std::string& repository,
                                    const std::vector<std::string>& headers,
                                    const std::string& used) {
  EAGLE_ASSIGN_OR_RETURN(AuthorizationPlan plan, AuthorizationPlan::Of(headers, repository));
  const absl::MutexLock held(&mutex_);
  MakeRoom();
  std::shared_ptr<Entry>& entry = entries_[KeyOf(origin, repository)];
  if (entry == nullptr) entry = std::make_shared<Entry>();
  // Another thread may have renewed it since that request was sent.
  if (!entry->header.empty() && entry->header != used) return absl::OkStatus();
  entry->plan = std::move(plan);
  entry->header.clear();
  return absl::OkStatus();
}

absl::Status Authorizer::WaitForRound(Entry& entry, const Cancellation& cancellation) {
  const std::uint64_t round = entry.round;
  const auto ended = [&] { return entry.round != round; };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&ended), kCancellationPoll)) {
    if (cancellation.cancelled()) return absl::CancelledError("the fetch was cancelled");
  }
  // One that was cancelled says nothing about the server.
  return absl::IsCancelled(entry.failure) ? absl::OkStatus() : entry.failure;
}

absl::StatusOr<std::string> Authorizer::HeaderFor(const Origin& origin,
                                                  const std::string& repository, HttpClient& client,
                                                  Cancellation& cancellation) {
  std::shared_ptr<Entry> entry;
  while (true) {
    {
      const absl::MutexLock held(&mutex_);
      const auto it = entries_.find(KeyOf(origin, repository));
      if (it == entries_.end()) return std::string();
      entry = it->second;
      if (!entry->header.empty() && clock_.Now() < entry->renew_at) return entry->header;
      if (entry->renewing) {
        EAGLE_RETURN_IF_ERROR(WaitForRound(*entry, cancellation));
        continue;
      }
      entry->renewing = true;
    }
    absl::Status status = Renew(origin, repository, entry, client, cancellation);
    const absl::MutexLock held(&mutex_);
    const auto now = clock_.Now();
    if (!status.ok() && !entry->header.empty() && now < entry->expires_at) {
      // The token server has trouble, and the old token is still good.
      status = absl::OkStatus();
      entry->renew_at = std::min(entry->expires_at, now + kRenewPause);
    }
    entry->renewing = false;
    entry->failure = status;
    ++entry->round;
    if (!status.ok()) return status;
    return entry->header;
  }
}

absl::Status Authorizer::Renew(const Origin& origin, const std::string& repository,
                               const std::shared_ptr<Entry>& entry, HttpClient& client,
                               Cancellation& cancellation) {
  EAGLE_ASSIGN_OR_RETURN(Credential credential,
                         credentials_.Find(origin, repository, cancellation));
  AuthorizationPlan plan;
  {
    const absl::MutexLock held(&mutex_);
    plan = entry->plan;
    if (!credential.refresh_token.empty() &&
        credential.refresh_token == entry->configured_refresh_token) {
      credential.refresh_token = entry->rotated_refresh_token;
    }
  }
  std::string header;
  std::chrono::seconds lifetime = kBasicLifetime;
  Token token;
  if (!credential.registry_token.empty()) {
    header = "Bearer " + credential.registry_token;
  } else if (plan.bearer) {
    EAGLE_ASSIGN_OR_RETURN(token,
                           AskForToken(origin, plan.token, credential, client, cancellation));
    header = "Bearer " + token.value;
    lifetime = token.lifetime;
  } else if (!credential.username.empty()) {
    header = BasicAuthorization(credential);
  } else {
    return NoCredentials(origin);
  }
  const absl::MutexLock held(&mutex_);
  entry->header = std::move(header);
  entry->expires_at = clock_.Now() + lifetime;
  entry->renew_at = entry->expires_at - std::min(kRenewBefore, lifetime / 2);
  if (!token.refresh_token.empty()) {
    if (entry->rotated_refresh_token != credential.refresh_token) {
      entry->configured_refresh_token = credential.refresh_token;
    }
    entry->rotated_refresh_token = token.refresh_token;
  }
  return absl::OkStatus();
}

absl::StatusOr<Token> Authorizer::AskForToken(const Origin& origin, const TokenQuery& query,
                                              const Credential& credential, HttpClient& client,
                                              Cancellation& cancellation) {
  const TokenReach reach = TokenReachOf(origin, query.realm);
  const bool withheld = !reach.with_credentials && !credential.empty();
  if (reach.reach == Reach::kNowhere || withheld) {
    return absl::PermissionDeniedError(
        fmt::format("{} sends for a token to {}, which its token_hosts in `origins` do not allow",
                    origin.endpoint.origin(), query.realm.origin()));
  }
  HttpRequest http;
  http.reach = reach.reach;
  http.tls = TlsFor(origin, query.realm);
  http.proxy = proxies_.For(query.realm);
  http.connect_timeout = timeouts_.connect;
  http.stall_timeout = timeouts_.stall;
  return RequestToken(query, credential, std::move(http), client, cancellation);
}

}  // namespace eagle::registry
