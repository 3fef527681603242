#include "lib/registry/http_url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

constexpr std::size_t kMaxUrlBytes = 8 << 10;

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

Handle NewHandle() {
  return {curl_url(), &curl_url_cleanup};
}

std::optional<std::string> Part(CURLU* url, CURLUPart part, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return std::nullopt;
  std::string out(text);
  curl_free(text);
  return out;
}

absl::Status Set(CURLU* url, std::string_view text) {
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (text.empty() || text.size() > kMaxUrlBytes || !printable) {
    return absl::InvalidArgumentError(
        "not a URL: empty, too long, or with other than printable "
        "ASCII characters");
  }
  constexpr unsigned int kFlags = CURLU_DISALLOW_USER | CURLU_PATH_AS_IS;
  const CURLUcode code = curl_url_set(url, CURLUPART_URL, std::string(text).c_str(), kFlags);
  if (code == CURLUE_OK) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("not a URL: {}", curl_url_strerror(code)));
}

absl::StatusOr<HttpUrl> FromHandle(CURLU* url) {
  HttpUrl out;
  const auto scheme = Part(url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return absl::InvalidArgumentError("not an http:// or https:// URL");
  }
  out.tls = scheme == "https";
  const auto host = Part(url, CURLUPART_HOST);
  if (!host || host->empty()) return absl::InvalidArgumentError("URL without a host");
  out.host = ToLower(*host);
  if (out.host.front() == '[') {
    out.host = out.host.substr(1, out.host.size() - 2);
    if (out.host.find_first_not_of("0123456789abcdef:.") != std::string::npos) {
      return absl::InvalidArgumentError("URL with a malformed IPv6 address");
    }
  } else if (!IsHostName(out.host)) {
    return absl::InvalidArgumentError("URL with a malformed host name");
  }
  const std::string port = Part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT).value_or("");
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || out.port == 0) {
    return absl::InvalidArgumentError("URL with a malformed port");
  }
  out.target = Part(url, CURLUPART_PATH).value_or("/");
  if (!out.target.starts_with("/")) return absl::InvalidArgumentError("URL with a malformed path");
  if (const auto query = Part(url, CURLUPART_QUERY)) out.target += "?" + *query;
  return out;
}

}  // namespace

absl::StatusOr<HttpUrl> HttpUrl::Parse(std::string_view text) {
  const Handle url = NewHandle();
  EAGLE_RETURN_IF_ERROR(Set(url.get(), text));
  return FromHandle(url.get());
}

absl::StatusOr<HttpUrl> HttpUrl::Resolve(std::string_view location) const {
  const Handle url = NewHandle();
  EAGLE_RETURN_IF_ERROR(Set(url.get(), str()));
  EAGLE_RETURN_IF_ERROR(Set(url.get(), location));
  return FromHandle(url.get());
}

std::string HttpUrl::origin() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  const bool default_port = port == (tls ? 443 : 80);
  return fmt::format("{}://{}{}{}{}", tls ? "https" : "http", ipv6 ? "[" : "", host,
                     ipv6 ? "]" : "", default_port ? "" : fmt::format(":{}", port));
}

std::string HttpUrl::str() const {
  return origin() + target;
}

}  // namespace eagle::registry
