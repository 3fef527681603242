#include "tracker/ip_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace eagle::tracker {
namespace {

constexpr std::size_t kMappedPrefixBytes = 12;
constexpr int kMappedPrefixBits = 96;

IpAddress WithPrefixOnly(const IpAddress& address, int bits) {
  IpAddress::V6 bytes = address.mapped();
  for (int i = 0; i < 16; ++i) {
    const int keep = std::clamp(bits - 8 * i, 0, 8);
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00 >> keep));
  }
  return IpAddress(bytes);
}

}  // namespace

IpAddress::IpAddress(const V4& bytes) {
  bytes_[10] = 0xff;
  bytes_[11] = 0xff;
  std::copy(bytes.begin(), bytes.end(), bytes_.begin() + kMappedPrefixBytes);
}

absl::StatusOr<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string terminated(text);
  V4 v4;
  V6 v6;
  const bool whole = text.find('\0') == std::string_view::npos;
  if (whole && ::inet_pton(AF_INET, terminated.c_str(), v4.data()) == 1) return IpAddress(v4);
  if (whole && ::inet_pton(AF_INET6, terminated.c_str(), v6.data()) == 1) return IpAddress(v6);
  return absl::InvalidArgumentError("not an IPv4 or IPv6 address");
}

bool IpAddress::is_v4() const {
  return std::all_of(bytes_.begin(), bytes_.begin() + 10, [](auto byte) { return byte == 0; }) &&
         bytes_[10] == 0xff && bytes_[11] == 0xff;
}

bool IpAddress::is_host() const {
  const std::string_view raw = bytes();
  const auto first = static_cast<std::uint8_t>(raw.front());
  const bool unspecified = raw.find_first_not_of('\0') == std::string_view::npos;
  const bool multicast = is_v4() ? (first & 0xf0) == 0xe0 : first == 0xff;
  const bool broadcast = is_v4() && raw == "\xff\xff\xff\xff";
  return !unspecified && !multicast && !broadcast;
}

std::string_view IpAddress::bytes() const {
  const std::string_view all(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  return is_v4() ? all.substr(kMappedPrefixBytes) : all;
}

std::string IpAddress::str() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes().data(), text, sizeof text);
  return text;
}

absl::StatusOr<Network> Network::Parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto base = IpAddress::Parse(text.substr(0, slash));
  const auto bad = [&](std::string_view why) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" {}; write 10.0.0.0/8 or fd00::/8", text.substr(0, 100), why));
  };
  if (!base.ok()) return bad("is not a network");
  // A mapped literal ("::ffff:10.0.0.0/104") counts its prefix over all 128 bits.
  const bool dotted = text.find(':') == std::string_view::npos;
  Network network;
  if (slash != std::string_view::npos) {
    const std::string_view length = text.substr(slash + 1);
    int bits = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
    if (error != std::errc() || end != length.data() + length.size() || bits < 0 ||
        bits > (dotted ? 32 : 128)) {
      return bad("has no prefix length that fits");
    }
    network.prefix_bits_ = dotted ? bits + kMappedPrefixBits : bits;
  }
  if (WithPrefixOnly(*base, network.prefix_bits_) != *base) {
    return bad("has bits set behind its prefix");
  }
  network.base_ = *base;
  return network;
}

bool Network::Contains(const IpAddress& address) const {
  return address.is_v4() == base_.is_v4() && WithPrefixOnly(address, prefix_bits_) == base_;
}

}  // namespace eagle::tracker
