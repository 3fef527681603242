#include "lib/registry/proxies.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

struct Address {
  std::array<std::uint8_t, 16> bytes{};
  int bits = 0;
};

std::optional<Address> ParseAddress(const std::string& text) {
  Address address;
  if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
    return address;
  }
  if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
    return address;
  }
  return std::nullopt;
}

bool IsIn(const Address& address, const Address& network, int prefix) {
  if (address.bits != network.bits || prefix < 0 || prefix > network.bits) return false;
  for (int bit = 0; bit < prefix; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if (((address.bytes[byte] ^ network.bytes[byte]) & mask) != 0) return false;
  }
  return true;
}

bool InCidr(const std::string& host, std::string_view cidr) {
  const std::size_t slash = cidr.find('/');
  const auto address = ParseAddress(host);
  const auto network = ParseAddress(std::string(cidr.substr(0, slash)));
  if (!address || !network) return false;
  int prefix = network->bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = cidr.substr(slash + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return false;
  }
  return IsIn(*address, *network, prefix);
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host.ends_with(".localhost") || InCidr(host, "127.0.0.0/8") ||
         InCidr(host, "::1");
}

// Whether `host` is what an element of NO_PROXY names.
bool Names(std::string_view element, const std::string& host) {
  if (element == "*" || element == host) return true;
  if (ParseAddress(host)) return InCidr(host, element);
  if (element.starts_with("*.")) element.remove_prefix(1);
  if (element.starts_with(".")) element.remove_prefix(1);
  if (element.empty()) return false;
  return host == element || host.ends_with(fmt::format(".{}", element));
}

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> elements;
  while (!list.empty()) {
    const std::size_t end = list.find_first_of(", \t");
    if (end != 0) elements.push_back(ToLower(list.substr(0, end)));
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  }
  return elements;
}

}  // namespace

Proxies Proxies::FromEnvironment(const Variable& variable) {
  Proxies proxies;
  proxies.http_ = variable("http_proxy");
  proxies.https_ = variable("https_proxy");
  if (proxies.https_.empty()) proxies.https_ = variable("HTTPS_PROXY");
  std::string exempt = variable("no_proxy");
  if (exempt.empty()) exempt = variable("NO_PROXY");
  proxies.exempt_ = Split(exempt);
  return proxies;
}

Proxies Proxies::FromEnvironment() {
  return FromEnvironment([](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  });
}

bool Proxies::IsExempt(const HttpUrl& url) const {
  if (IsLoopback(url.host)) return true;
  const std::string port = fmt::format(":{}", url.port);
  return std::any_of(exempt_.begin(), exempt_.end(), [&](const std::string& element) {
    if (Names(element, url.host)) return true;
    std::string_view host = element;
    if (!host.ends_with(port)) return false;
    host.remove_suffix(port.size());
    if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
    return Names(host, url.host);
  });
}

std::string Proxies::For(const HttpUrl& url) const {
  const std::string& proxy = url.tls ? https_ : http_;
  if (proxy.empty() || IsExempt(url)) return "";
  return proxy;
}

}  // namespace eagle::registry
