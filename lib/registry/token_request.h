#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/docker_config.h"
#include "lib/registry/http_transfer.h"

namespace eagle::registry {

/// What a bearer challenge asks for.
struct TokenQuery {
  HttpUrl realm;
  std::string service;
  std::vector<std::string> scopes;
};

/// An access token. Never logged.
struct Token {
  std::string value;
  std::chrono::seconds lifetime{};
  /// "" unless the server gave a new one.
  std::string refresh_token;
};

/// What of a token server's answer counts. INVALID_ARGUMENT, without any of the text, when there is
/// no token in it that could stand in a header. Without "expires_in" a token lasts a minute.
absl::StatusOr<Token> ParseToken(std::string_view json);

/// Asks a token server, as docker distribution's specification has it: with a refresh token by
/// OAuth2's POST, else by GET with the user name and password, else anonymously by GET. `http` is
/// what the request is made from: reach, TLS, proxy and time-outs. PERMISSION_DENIED when the
/// server refuses (401, 403), UNAVAILABLE when asking again may help, as Cancellation ends it
/// CANCELLED.
absl::StatusOr<Token> RequestToken(const TokenQuery& query, const Credential& credential,
                                   HttpRequest http, HttpClient& client,
                                   Cancellation& cancellation);

/// Value of an Authorization header (RFC 7617).
std::string BasicAuthorization(const Credential& credential);

}  // namespace eagle::registry
