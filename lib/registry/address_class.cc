#include "lib/registry/address_class.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace eagle::registry {
namespace {

struct Network {
  std::uint32_t address;
  int bits;
  AddressClass address_class;
};

constexpr std::uint32_t Ip(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return (a << 24) | (b << 16) | (c << 8);
}

constexpr std::array kNetworks = {
    Network{Ip(0, 0, 0), 8, AddressClass::kLocal},
    Network{Ip(10, 0, 0), 8, AddressClass::kPrivate},
    Network{Ip(100, 64, 0), 10, AddressClass::kPrivate},
    Network{Ip(127, 0, 0), 8, AddressClass::kLocal},
    Network{Ip(169, 254, 0), 16, AddressClass::kLocal},
    Network{Ip(172, 16, 0), 12, AddressClass::kPrivate},
    Network{Ip(192, 0, 0), 24, AddressClass::kLocal},
    Network{Ip(192, 0, 2), 24, AddressClass::kLocal},
    Network{Ip(192, 168, 0), 16, AddressClass::kPrivate},
    Network{Ip(198, 18, 0), 15, AddressClass::kLocal},
    Network{Ip(198, 51, 100), 24, AddressClass::kLocal},
    Network{Ip(203, 0, 113), 24, AddressClass::kLocal},
    Network{Ip(224, 0, 0), 3, AddressClass::kLocal},
};

AddressClass ClassOfIpv4(std::uint32_t address) {
  for (const Network& network : kNetworks) {
    const std::uint32_t mask = ~std::uint32_t{0} << (32 - network.bits);
    if ((address & mask) == network.address) return network.address_class;
  }
  return AddressClass::kPublic;
}

std::uint32_t Ipv4At(const std::uint8_t* bytes) {
  std::uint32_t address;
  std::memcpy(&address, bytes, sizeof address);
  return ntohl(address);
}

bool HasPrefix(const std::uint8_t* bytes, std::initializer_list<std::uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes);
}

AddressClass ClassOfIpv6(const std::uint8_t* bytes) {
  if (HasPrefix(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) {
    return ClassOfIpv4(Ipv4At(bytes + 12));
  }
  if (HasPrefix(bytes, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return ClassOfIpv4(Ipv4At(bytes + 12));
  }
  if (HasPrefix(bytes, {0x20, 0x02})) return ClassOfIpv4(Ipv4At(bytes + 2));
  if ((bytes[0] & 0xfe) == 0xfc) return AddressClass::kPrivate;
  // Teredo, ORCHID and the like, and documentation.
  if (HasPrefix(bytes, {0x20, 0x01}) && bytes[2] < 2) return AddressClass::kLocal;
  if (HasPrefix(bytes, {0x20, 0x01, 0x0d, 0xb8})) return AddressClass::kLocal;
  // 2000::/3 is all that is global unicast today.
  return (bytes[0] & 0xe0) == 0x20 ? AddressClass::kPublic : AddressClass::kLocal;
}

}  // namespace

AddressClass ClassOf(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address, sizeof ipv4);
    return ClassOfIpv4(ntohl(ipv4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &address, sizeof ipv6);
    return ClassOfIpv6(ipv6.sin6_addr.s6_addr);
  }
  return AddressClass::kLocal;
}

}  // namespace eagle::registry
