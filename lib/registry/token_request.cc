#include "lib/registry/token_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"

namespace eagle::registry {
namespace {

constexpr std::string_view kClientId = "eagle";
constexpr std::size_t kMaxAnswer = 1 << 20;
constexpr std::size_t kMaxToken = 64 << 10;
constexpr std::int64_t kDefaultLifetime = 60;
constexpr std::int64_t kMaxLifetime = 24 * 3600;

// Everything but the unreserved characters (RFC 3986, 2.3) is escaped.
std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

class Form {
 public:
  void Add(std::string_view name, std::string_view value) {
    if (!text_.empty()) text_ += '&';
    text_ += fmt::format("{}={}", name, Escape(value));
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string PostForm(const TokenQuery& query, const std::string& refresh_token) {
  Form form;
  form.Add("grant_type", "refresh_token");
  form.Add("service", query.service);
  form.Add("client_id", kClientId);
  form.Add("refresh_token", refresh_token);
  std::string scope;
  for (const std::string& one : query.scopes) scope += (scope.empty() ? "" : " ") + one;
  if (!scope.empty()) form.Add("scope", scope);
  return form.text();
}

std::string GetQuery(const TokenQuery& query, const Credential& credential) {
  Form form;
  if (!query.service.empty()) form.Add("service", query.service);
  for (const std::string& scope : query.scopes) form.Add("scope", scope);
  if (!credential.username.empty()) form.Add("account", credential.username);
  return form.text();
}

bool MayBeInHeader(std::string_view text) {
  return !text.empty() && text.size() <= kMaxToken &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

absl::Status RefusalOf(int status, const std::string& where, const Credential& credential) {
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(
        credential.empty()
            ? fmt::format("{} gives no token without credentials ({}); set them in `origins`",
                          where, status)
            : fmt::format("{} does not accept the credentials of `origins` ({})", where, status));
  }
  if (status == 400 || status == 404) {
    return absl::PermissionDeniedError(fmt::format("{} gives no token ({})", where, status));
  }
  return absl::UnavailableError(
      fmt::format("{} answered a request for a token with {}", where, status));
}

}  // namespace

absl::StatusOr<Token> ParseToken(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const absl::Status malformed = absl::InvalidArgumentError("the answer holds no token");
  if (!json.is_object()) return malformed;
  const auto string_at = [&](const char* key) {
    const auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  Token token;
  token.value = string_at("token");
  if (token.value.empty()) token.value = string_at("access_token");
  if (!MayBeInHeader(token.value)) return malformed;
  token.refresh_token = string_at("refresh_token");
  if (token.refresh_token.size() > kMaxToken) token.refresh_token.clear();
  std::int64_t lifetime = kDefaultLifetime;
  if (const auto it = json.find("expires_in"); it != json.end() && it->is_number()) {
    lifetime = static_cast<std::int64_t>(
        std::clamp(it->get<double>(), 0.0, static_cast<double>(kMaxLifetime)));
  }
  token.lifetime = std::chrono::seconds(lifetime);
  return token;
}

std::string BasicAuthorization(const Credential& credential) {
  return "Basic " +
         std::string(absl::Base64Escape(credential.username + ":" + credential.password));
}

absl::StatusOr<Token> RequestToken(const TokenQuery& query, const Credential& credential,
                                   HttpRequest http, HttpClient& client,
                                   Cancellation& cancellation) {
  http.url = query.realm;
  http.accept = "application/json";
  if (!credential.refresh_token.empty()) {
    http.method = "POST";
    http.body = PostForm(query, credential.refresh_token);
    http.content_type = "application/x-www-form-urlencoded";
  } else {
    const bool has_query = http.url.target.find('?') != std::string::npos;
    http.url.target += (has_query ? "&" : "?") + GetQuery(query, credential);
    if (!credential.username.empty()) http.authorization = BasicAuthorization(credential);
  }
  int status = 0;
  std::string answer;
  http.on_head = [&](const ResponseHead& head) {
    status = head.status;
    return status == 200;
  };
  http.on_body = [&](std::string_view data) {
    if (answer.size() + data.size() > kMaxAnswer) {
      return absl::Status(absl::UnavailableError("the token server's answer is too long"));
    }
    answer += data;
    return absl::OkStatus();
  };
  const HttpResult result = client.Send(http, cancellation);
  const std::string where = query.realm.origin();
  if (result.end != HttpResult::End::kComplete) {
    return base::Annotate(result.status, "asking for a token");
  }
  if (status != 200) return RefusalOf(status, where, credential);
  auto token = ParseToken(answer);
  if (token.ok()) return token;
  return absl::UnavailableError(fmt::format("{}: {}", where, base::Message(token.status())));
}

}  // namespace eagle::registry
