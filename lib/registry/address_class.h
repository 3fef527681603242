#pragma once

struct sockaddr;

namespace eagle::registry {

enum class AddressClass {
  /// Routed on the Internet.
  kPublic,
  /// RFC 1918, RFC 6598 (carrier NAT) and RFC 4193 (unique local): a site's own networks.
  kPrivate,
  /// Loopback, link-local (cloud metadata services live there), unspecified, multicast, reserved,
  /// documentation and benchmark networks (RFC 6890), and whatever is no IP address.
  kLocal,
};

/// IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4) count as that address.
AddressClass ClassOf(const sockaddr& address);

}  // namespace eagle::registry
