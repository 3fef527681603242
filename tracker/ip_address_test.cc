#include "tracker/ip_address.h"

#include <gtest/gtest.h>

namespace eagle::tracker {
namespace {

IpAddress Ip(const std::string& text) {
  return IpAddress::Parse(text).value();
}

TEST(IpAddress, ReadsBothFamilies) {
  EXPECT_EQ(Ip("10.1.2.3").str(), "10.1.2.3");
  EXPECT_EQ(Ip("10.1.2.3").bytes(), std::string_view("\x0a\x01\x02\x03"));
  EXPECT_EQ(Ip("fd00::1").str(), "fd00::1");
  EXPECT_EQ(Ip("fd00::1").bytes().size(), 16U);
}

TEST(IpAddress, AMappedAddressIsTheIPv4One) {
  EXPECT_TRUE(Ip("::ffff:10.1.2.3").is_v4());
  EXPECT_EQ(Ip("::ffff:10.1.2.3"), Ip("10.1.2.3"));
  EXPECT_FALSE(Ip("::a01:203").is_v4());
}

TEST(IpAddress, RefusesWhatIsNoLiteral) {
  for (const std::string_view text :
       {"", "node-1", "10.1.2", "10.1.2.3 ", "fe80::1%eth0", "1.2.3.4:5", "[::1]"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(std::string_view("10.1.2.3\0x", 10)).ok());
}

TEST(IpAddress, KnowsWhatAPeerCannotHave) {
  for (const char* text :
       {"0.0.0.0", "::", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255"}) {
    EXPECT_FALSE(Ip(text).is_host()) << text;
  }
  for (const char* text : {"10.0.0.0", "127.0.0.1", "::1", "fe80::1", "240.0.0.1"}) {
    EXPECT_TRUE(Ip(text).is_host()) << text;
  }
}

TEST(Network, ContainsItsOwnAddresses) {
  const Network ten = Network::Parse("10.0.0.0/8").value();
  EXPECT_TRUE(ten.Contains(Ip("10.255.0.1")));
  EXPECT_FALSE(ten.Contains(Ip("11.0.0.1")));
  const Network odd = Network::Parse("10.0.0.128/27").value();
  EXPECT_TRUE(odd.Contains(Ip("10.0.0.159")));
  EXPECT_FALSE(odd.Contains(Ip("10.0.0.160")));
  const Network six = Network::Parse("fd00:1::/33").value();
  EXPECT_TRUE(six.Contains(Ip("fd00:1:7fff::1")));
  EXPECT_FALSE(six.Contains(Ip("fd00:1:8000::1")));
  const Network one = Network::Parse("192.168.0.1").value();
  EXPECT_TRUE(one.Contains(Ip("192.168.0.1")));
  EXPECT_FALSE(one.Contains(Ip("192.168.0.2")));
}

TEST(Network, AllOfOneFamilyIsNotTheOther) {
  EXPECT_TRUE(Network::Parse("0.0.0.0/0").value().Contains(Ip("8.8.8.8")));
  EXPECT_FALSE(Network::Parse("0.0.0.0/0").value().Contains(Ip("fd00::1")));
  EXPECT_TRUE(Network::Parse("::/0").value().Contains(Ip("fd00::1")));
  EXPECT_FALSE(Network::Parse("::/0").value().Contains(Ip("8.8.8.8")));
}

TEST(Network, RefusesTypingErrors) {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
                           "10.1.0.0/8", "fd00::1/64", "fd00::/129", "nodes/8"}) {
    EXPECT_FALSE(Network::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace eagle::tracker
