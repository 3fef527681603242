#include "lib/registry/proxies.h"

#include <gtest/gtest.h>

#include <map>

namespace eagle::registry {
namespace {

using Environment = std::map<std::string, std::string>;

std::string ProxyOf(const Environment& environment, const std::string& url) {
  const Proxies proxies = Proxies::FromEnvironment([&](const std::string& name) {
    const auto it = environment.find(name);
    return it == environment.end() ? std::string() : it->second;
  });
  return proxies.For(*HttpUrl::Parse(url));
}

TEST(Proxies, AreChosenByScheme) {
  const Environment environment{{"HTTPS_PROXY", "http://p:3128"}, {"http_proxy", "http://q:3128"}};
  EXPECT_EQ(ProxyOf(environment, "https://a.example/"), "http://p:3128");
  EXPECT_EQ(ProxyOf(environment, "http://a.example/"), "http://q:3128");
  EXPECT_EQ(ProxyOf({}, "https://a.example/"), "");
  EXPECT_EQ(Proxies().For(*HttpUrl::Parse("https://a.example/")), "");
}

TEST(Proxies, LowerCaseWinsAndHttpProxyInUpperCaseIsNotBelieved) {
  EXPECT_EQ(ProxyOf({{"HTTPS_PROXY", "http://p"}, {"https_proxy", "http://q"}}, "https://a/"),
            "http://q");
  EXPECT_EQ(ProxyOf({{"HTTP_PROXY", "http://p"}}, "http://a/"), "");
}

TEST(Proxies, NoProxyNamesExceptions) {
  const Environment environment{
      {"https_proxy", "http://p"},
      {"NO_PROXY", "one.example, .two.example,*.three.example 10.0.0.0/8,fd00::/8,1.2.3.4,p:5000"}};
  for (const char* url :
       {"https://one.example/", "https://sub.one.example/", "https://two.example/",
        "https://a.two.example/", "https://b.three.example/", "https://10.1.2.3/",
        "https://[fd00::1]/", "https://1.2.3.4:5000/", "https://p:5000/", "https://localhost/",
        "https://127.0.0.5/", "https://[::1]/"}) {
    EXPECT_EQ(ProxyOf(environment, url), "") << url;
  }
  for (const char* url : {"https://none.example/", "https://11.0.0.1/", "https://1.2.3.5/",
                          "https://p/", "https://p:5001/", "https://[fe80::1]/"}) {
    EXPECT_EQ(ProxyOf(environment, url), "http://p") << url;
  }
  EXPECT_EQ(ProxyOf({{"https_proxy", "http://p"}, {"no_proxy", "*"}}, "https://a.example/"), "");
}

}  // namespace
}  // namespace eagle::registry
