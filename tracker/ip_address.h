#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/status.h"

namespace eagle::tracker {

/// An IPv4 or IPv6 address. Kept as 16 bytes; an IPv4-mapped one (RFC 4291 section 2.5.5.2) is the
/// IPv4 address, as that is what a dual-stack socket shows for it.
class IpAddress {
 public:
  using V4 = std::array<std::uint8_t, 4>;
  using V6 = std::array<std::uint8_t, 16>;

  /// "::"
  IpAddress() = default;
  explicit IpAddress(const V4& bytes);
  explicit IpAddress(const V6& bytes) : bytes_(bytes) {}

  /// A literal, no host name and no scope; anything else is INVALID_ARGUMENT.
  static absl::StatusOr<IpAddress> Parse(std::string_view text);

  [[nodiscard]] bool is_v4() const;
  /// Whether a peer can have it: not unspecified, multicast or broadcast.
  [[nodiscard]] bool is_host() const;
  /// 4 or 16 bytes in network order; they live as long as this object.
  [[nodiscard]] std::string_view bytes() const;
  /// All 16 bytes, IPv4 mapped.
  [[nodiscard]] const V6& mapped() const { return bytes_; }
  [[nodiscard]] std::string str() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const IpAddress& address) {
    return H::combine(std::move(state), address.bytes_);
  }

 private:
  V6 bytes_{};
};

/// A block of addresses of one family ("10.0.0.0/8", "fd00::/8", or one address).
class Network {
 public:
  /// INVALID_ARGUMENT also when bits behind the prefix are set: that is mostly a typing error.
  static absl::StatusOr<Network> Parse(std::string_view text);

  [[nodiscard]] bool Contains(const IpAddress& address) const;

 private:
  IpAddress base_;
  /// Of the 16 bytes.
  int prefix_bits_ = 128;
};

}  // namespace eagle::tracker
