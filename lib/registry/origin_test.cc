#include "lib/registry/origin.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace eagle::registry {
namespace {

HttpUrl Url(const std::string& text) {
  auto url = HttpUrl::Parse(text);
  EXPECT_TRUE(url.ok()) << text << ": " << url.status();
  return url.value_or(HttpUrl());
}

AddressClass Class(const std::string& text) {
  sockaddr_storage storage{};
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, text.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
  } else {
    EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &ipv6->sin6_addr), 1) << text;
    ipv6->sin6_family = AF_INET6;
  }
  return ClassOf(reinterpret_cast<const sockaddr&>(storage));
}

TEST(AddressClass, KnowsWhatIsNotTheInternet) {
  for (const char* address : {"8.8.8.8", "172.15.0.1", "172.32.0.1", "2a00:1450::1",
                              "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    EXPECT_EQ(Class(address), AddressClass::kPublic) << address;
  }
  for (const char* address : {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
                              "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "2002:0a00:0001::1"}) {
    EXPECT_EQ(Class(address), AddressClass::kPrivate) << address;
  }
  for (const char* address :
       {"127.0.0.1", "127.255.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2001:db8::1"}) {
    EXPECT_EQ(Class(address), AddressClass::kLocal) << address;
  }
  sockaddr unix_address{};
  unix_address.sa_family = AF_UNIX;
  EXPECT_EQ(ClassOf(unix_address), AddressClass::kLocal);
}

TEST(HttpUrl, TakesApartAndPutsTogether) {
  for (const char* text : {"https://a.example/x?y=1&z=%2F", "http://a:8080/",
                           "http://[::1]:5000/v2/", "https://1.2.3.4/"}) {
    EXPECT_EQ(Url(text).str(), text);
  }
  EXPECT_EQ(Url("http://A.Example").str(), "http://a.example/");
  EXPECT_EQ(Url("https://a:443/x").str(), "https://a/x");
  EXPECT_EQ(Url("https://a/secret?signature=1").origin(), "https://a");
}

TEST(HttpUrl, RefusesWhatIsNotHttp) {
  for (const char* text :
       {"", "a", "ftp://a/", "file:///etc/passwd", "unix:/x", "//a/", "http://", "http://u@a/",
        "http://u:p@a/", "http://a:0/", "http://a:99999/", "http://a b/", "http://a/\r\nX: y",
        "http://a_b/", "gopher://a/", "http://[fe80::1%25eth0]/x y"}) {
    EXPECT_FALSE(HttpUrl::Parse(text).ok()) << text;
  }
  EXPECT_FALSE(HttpUrl::Parse("http://a/" + std::string(9000, 'x')).ok());
}

TEST(HttpUrl, ResolvesALocation) {
  const HttpUrl base = Url("https://a.example:5000/v2/app/blobs/x?old=1");
  EXPECT_EQ(base.Resolve("/elsewhere?new=2")->str(), "https://a.example:5000/elsewhere?new=2");
  EXPECT_EQ(base.Resolve("y")->str(), "https://a.example:5000/v2/app/blobs/y");
  EXPECT_EQ(base.Resolve("//b.example/z")->str(), "https://b.example/z");
  EXPECT_EQ(base.Resolve("http://b.example")->str(), "http://b.example/");
  EXPECT_FALSE(base.Resolve("").ok());
  EXPECT_FALSE(base.Resolve("ftp://b.example/").ok());
  EXPECT_FALSE(base.Resolve("https://user:pass@b.example/").ok());
}

TEST(Origin, SendsOnlyWhereItMay) {
  Origin origin;
  origin.endpoint = Url("https://r.example");
  origin.redirect_hosts = {"cdn.example", "*.store.example"};
  EXPECT_EQ(ReachOf(origin, Url("https://r.example:8443/x")), Reach::kAnywhere);
  EXPECT_EQ(ReachOf(origin, Url("https://cdn.example/x")), Reach::kAnywhere);
  EXPECT_EQ(ReachOf(origin, Url("http://cdn.example/x")), Reach::kAnywhere);
  EXPECT_EQ(ReachOf(origin, Url("https://a.store.example/x")), Reach::kPublicAndPrivate);
  EXPECT_EQ(ReachOf(origin, Url("https://store.example/x")), Reach::kNowhere);
  EXPECT_EQ(ReachOf(origin, Url("https://evilstore.example/x")), Reach::kNowhere);
  EXPECT_EQ(ReachOf(origin, Url("https://other.example/x")), Reach::kNowhere);
  EXPECT_EQ(ReachOf(origin, Url("http://r.example/x")), Reach::kNowhere);
  origin.redirect_hosts.push_back("*");
  EXPECT_EQ(ReachOf(origin, Url("https://other.example/x")), Reach::kPublic);
  EXPECT_EQ(ReachOf(origin, Url("http://other.example/x")), Reach::kNowhere);
  origin.listed = false;
  EXPECT_EQ(ReachOf(origin, Url("https://r.example/x")), Reach::kPublicAndPrivate);
}

TEST(Origin, CredentialsForATokenGoOnlyWhereTheOriginSays) {
  Origin origin;
  origin.endpoint = Url("https://r.example");
  origin.token_hosts = {"Auth.example"};
  EXPECT_TRUE(TokenReachOf(origin, Url("https://r.example/token")).with_credentials);
  EXPECT_TRUE(TokenReachOf(origin, Url("https://auth.example/token")).with_credentials);
  EXPECT_EQ(TokenReachOf(origin, Url("https://auth.example/token")).reach, Reach::kAnywhere);
  EXPECT_EQ(TokenReachOf(origin, Url("https://other.example/token")).reach, Reach::kNowhere);
  // Off TLS a password could be read by anybody.
  EXPECT_EQ(TokenReachOf(origin, Url("http://auth.example/token")).reach, Reach::kNowhere);
  EXPECT_FALSE(TokenReachOf(origin, Url("http://auth.example/token")).with_credentials);
  origin.redirect_hosts = {"*"};
  EXPECT_EQ(TokenReachOf(origin, Url("https://other.example/token")).reach, Reach::kPublic);
  EXPECT_FALSE(TokenReachOf(origin, Url("https://other.example/token")).with_credentials);
}

TEST(Origin, TheClientsCertificateIsForTheEndpoint) {
  Origin origin;
  origin.endpoint = Url("https://r.example");
  origin.tls = {"ca.pem", "cert.pem", "key.pem"};
  EXPECT_EQ(TlsFor(origin, Url("https://r.example/x")).certificate_file, "cert.pem");
  EXPECT_EQ(TlsFor(origin, Url("https://cdn.example/x")).certificate_file, "");
  EXPECT_EQ(TlsFor(origin, Url("https://cdn.example/x")).ca_file, "ca.pem");
}

TEST(Origin, ReachMeansAddresses) {
  EXPECT_TRUE(Allows(Reach::kAnywhere, AddressClass::kLocal));
  EXPECT_TRUE(Allows(Reach::kPublicAndPrivate, AddressClass::kPrivate));
  EXPECT_FALSE(Allows(Reach::kPublicAndPrivate, AddressClass::kLocal));
  EXPECT_TRUE(Allows(Reach::kPublic, AddressClass::kPublic));
  EXPECT_FALSE(Allows(Reach::kPublic, AddressClass::kPrivate));
  EXPECT_FALSE(Allows(Reach::kNowhere, AddressClass::kPublic));
}

TEST(OriginTable, KnowsDockerIoAndWhatWasSet) {
  OriginTable table(true);
  EXPECT_EQ(table.Find("docker.io")->endpoint.str(), "https://registry-1.docker.io/");
  Origin lab;
  lab.endpoint = Url("http://10.0.0.1:5000");
  table.Set("Registry.Lab", lab);
  EXPECT_EQ(table.Find("registry.lab")->endpoint.str(), "http://10.0.0.1:5000/");
  const auto unlisted = table.Find("quay.io");
  ASSERT_TRUE(unlisted.ok());
  EXPECT_EQ(unlisted->endpoint.str(), "https://quay.io/");
  EXPECT_FALSE(unlisted->listed);
}

TEST(OriginTable, RefusesUnlistedRegistriesWhenTold) {
  const OriginTable table(false);
  EXPECT_TRUE(table.Find("docker.io").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(table.Find("quay.io").status()));
}

}  // namespace
}  // namespace eagle::registry
