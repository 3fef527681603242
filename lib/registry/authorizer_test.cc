#include "lib/registry/authorizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "lib/base/file.h"
#include "lib/registry/fake_registry.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"

namespace eagle::registry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The registry itself is not asked here: only its challenges are, and a token server.
class AuthorizerTest : public ::testing::Test {
 protected:
  AuthorizerTest() {
    server_ = std::make_unique<FakeRegistry>([this](const FakeRequest& request) {
      const int number = ++asked_;
      if (handler_) return handler_(request);
      FakeReply reply;
      reply.body = fmt::format(R"({{"token":"t{}","expires_in":{}}})", number, lifetime_);
      return reply;
    });
    origin_.endpoint = *HttpUrl::Parse("http://127.0.0.1:1");
    origin_.name = "registry.lab";
  }

  std::vector<std::string> Bearer(const std::string& scope = "repository:a/b:pull") {
    return {fmt::format("Bearer realm=\"{}/token\",service=\"the registry\",scope=\"{}\"",
                        server_->url(), scope)};
  }
  absl::Status Challenge(const std::vector<std::string>& headers, const std::string& used = "") {
    return authorizer_.Challenged(origin_, "a/b", headers, used);
  }
  absl::StatusOr<std::string> Header(const std::string& repository = "a/b") {
    HttpClient client;
    Cancellation never;
    return authorizer_.HeaderFor(origin_, repository, client, never);
  }
  void UseConfig(const std::string& entry) {
    ASSERT_TRUE(base::WriteFileAtomic(dir_.path() + "/config.json",
                                      "{\"auths\":{\"registry.lab\":" + entry + "}}")
                    .ok());
    origin_.credentials.docker_config = dir_.path() + "/config.json";
  }

  testing::TempDir dir_;
  std::atomic<int> asked_ = 0;
  int lifetime_ = 300;
  FakeRegistry::Handler handler_;
  std::unique_ptr<FakeRegistry> server_;
  testing::FakeClock clock_;
  Credentials credentials_;
  const Proxies proxies_;
  Origin origin_;
  Authorizer authorizer_{{}, credentials_, proxies_, clock_};
};

TEST_F(AuthorizerTest, SendsNothingUntilItIsAsked) {
  EXPECT_EQ(*Header(), "");
  EXPECT_EQ(asked_, 0);
}

TEST_F(AuthorizerTest, AsksForATokenAnonymously) {
  ASSERT_TRUE(Challenge(Bearer("repository:a/b:pull repository:c:pull")).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  const FakeRequest request = server_->requests()[0];
  EXPECT_EQ(request.target,
            "/token?service=the%20registry&scope=repository%3Aa%2Fb%3Apull&"
            "scope=repository%3Ac%3Apull");
  EXPECT_EQ(request.header("Authorization"), "");
}

TEST_F(AuthorizerTest, AsksToPullWhenTheChallengeHasNoScope) {
  ASSERT_TRUE(Challenge({fmt::format("Bearer realm=\"{}/t?x=1\"", server_->url())}).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  EXPECT_EQ(server_->requests()[0].target, "/t?x=1&scope=repository%3Aa%2Fb%3Apull");
}

TEST_F(AuthorizerTest, ShowsThePasswordToTheTokenServerOnly) {
  UseConfig(R"({"username":"user","password":"pass"})");
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  EXPECT_EQ(server_->requests()[0].header("Authorization"), "Basic dXNlcjpwYXNz");
  EXPECT_THAT(server_->requests()[0].target, HasSubstr("account=user"));
}

TEST_F(AuthorizerTest, ARefreshTokenGoesByPost) {
  UseConfig(R"({"identitytoken":"re fresh"})");
  handler_ = [](const FakeRequest&) {
    FakeReply reply;
    reply.body = R"({"access_token":"access","expires_in":10,"refresh_token":"rotated"})";
    return reply;
  };
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer access");
  const FakeRequest request = server_->requests()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/token");
  EXPECT_EQ(request.body,
            "grant_type=refresh_token&service=the%20registry&client_id=eagle&"
            "refresh_token=re%20fresh&scope=repository%3Aa%2Fb%3Apull");
  // The server gave another one, which counts from now on.
  clock_.Advance(std::chrono::seconds(11));
  EXPECT_EQ(*Header(), "Bearer access");
  EXPECT_THAT(server_->requests()[1].body, HasSubstr("refresh_token=rotated"));
  // Until the configuration has a new one.
  UseConfig(R"({"identitytoken":"new"})");
  clock_.Advance(std::chrono::seconds(11));
  EXPECT_EQ(*Header(), "Bearer access");
  EXPECT_THAT(server_->requests()[2].body, HasSubstr("refresh_token=new"));
}

TEST_F(AuthorizerTest, KeepsATokenAndRenewsItBeforeItExpires) {
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  clock_.Advance(std::chrono::seconds(269));
  EXPECT_EQ(*Header(), "Bearer t1");
  EXPECT_EQ(asked_, 1);
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_EQ(*Header(), "Bearer t2");
}

TEST_F(AuthorizerTest, TokensAreOfOneRepository) {
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  EXPECT_EQ(*Header("c/d"), "");
}

TEST_F(AuthorizerTest, AnOldTokenServesWhileTheServerHasTrouble) {
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  handler_ = [](const FakeRequest&) {
    FakeReply reply;
    reply.status = 503;
    return reply;
  };
  clock_.Advance(std::chrono::seconds(280));
  EXPECT_EQ(*Header(), "Bearer t1");
  clock_.Advance(std::chrono::seconds(21));
  EXPECT_TRUE(absl::IsUnavailable(Header().status()));
}

TEST_F(AuthorizerTest, ARefusedTokenIsReplacedOnce) {
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
  ASSERT_TRUE(Challenge(Bearer(), "Bearer t1").ok());
  EXPECT_EQ(*Header(), "Bearer t2");
  // A request that was sent with the first one comes back late.
  ASSERT_TRUE(Challenge(Bearer(), "Bearer t1").ok());
  EXPECT_EQ(*Header(), "Bearer t2");
  EXPECT_EQ(asked_, 2);
}

TEST_F(AuthorizerTest, ManyAskTheServerOnce) {
  std::atomic<int> started = 0;
  handler_ = [&](const FakeRequest&) {
    // Until the others are on their way, so that they find the question open.
    while (started < 8) std::this_thread::yield();
    FakeReply reply;
    reply.body = R"({"token":"one"})";
    return reply;
  };
  ASSERT_TRUE(Challenge(Bearer()).ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      ++started;
      const auto header = Header();
      EXPECT_TRUE(header.ok()) << header.status();
      EXPECT_EQ(header.value_or(""), "Bearer one");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(asked_, 1);
}

TEST_F(AuthorizerTest, BasicNeedsCredentials) {
  ASSERT_TRUE(Challenge({"Basic realm=\"x\""}).ok());
  const auto none = Header();
  EXPECT_TRUE(absl::IsPermissionDenied(none.status()));
  EXPECT_THAT(std::string(base::Message(none.status())),
              HasSubstr("`credentials` of registry.lab"));
  UseConfig(R"({"username":"user","password":"pass"})");
  EXPECT_EQ(*Header(), "Basic dXNlcjpwYXNz");
  // A rotated password is used after a refusal at once.
  UseConfig(R"({"username":"user","password":"new"})");
  EXPECT_EQ(*Header(), "Basic dXNlcjpwYXNz");
  ASSERT_TRUE(Challenge({"Basic realm=\"x\""}, "Basic dXNlcjpwYXNz").ok());
  EXPECT_EQ(*Header(), "Basic dXNlcjpuZXc=");
}

TEST_F(AuthorizerTest, PrefersATokenToThePassword) {
  UseConfig(R"({"username":"user","password":"pass"})");
  std::vector<std::string> headers{"Negotiate, Basic realm=\"x\"", "malformed=\""};
  headers.push_back(Bearer()[0]);
  ASSERT_TRUE(Challenge(headers).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
}

TEST_F(AuthorizerTest, ARegistryTokenIsSentAsItIs) {
  UseConfig(R"({"registrytoken":"ready"})");
  ASSERT_TRUE(Challenge(Bearer()).ok());
  EXPECT_EQ(*Header(), "Bearer ready");
  EXPECT_EQ(asked_, 0);
}

TEST_F(AuthorizerTest, RefusesChallengesThatItCanNotAnswer) {
  for (const char* header : {"", "Negotiate", "Digest realm=\"x\"", "Bearer realm=\"ftp://x/\"",
                             "Bearer service=\"x\"", "Bearer realm=\"file:///etc/passwd\""}) {
    EXPECT_TRUE(absl::IsPermissionDenied(Challenge({header}))) << header;
  }
  EXPECT_TRUE(absl::IsPermissionDenied(Challenge({})));
}

TEST_F(AuthorizerTest, CredentialsDoNotGoToARealmThatIsNotAllowed) {
  UseConfig(R"({"username":"user","password":"pass"})");
  const std::string realm = fmt::format("http://127.0.0.2:{}/token", server_->port());
  const std::vector<std::string> headers{fmt::format("Bearer realm=\"{}\"", realm)};
  ASSERT_TRUE(Challenge(headers).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Header().status()));
  // A host that a redirect may lead to is not one for secrets yet.
  origin_.redirect_hosts = {"127.0.0.2"};
  const auto refused = Header();
  EXPECT_TRUE(absl::IsPermissionDenied(refused.status()));
  EXPECT_THAT(std::string(base::Message(refused.status())), HasSubstr("token_hosts"));
  EXPECT_EQ(asked_, 0);
  origin_.token_hosts = {"127.0.0.2"};
  EXPECT_EQ(*Header(), "Bearer t1");
}

TEST_F(AuthorizerTest, AnonymousTokensMayComeFromWhereRedirectsMayLead) {
  origin_.redirect_hosts = {"127.0.0.2"};
  ASSERT_TRUE(
      Challenge({fmt::format("Bearer realm=\"http://127.0.0.2:{}/\"", server_->port())}).ok());
  EXPECT_EQ(*Header(), "Bearer t1");
}

TEST_F(AuthorizerTest, RefusalsAndTroubleAreToldApart) {
  UseConfig(R"({"username":"user","password":"se-cret"})");
  FakeReply reply;
  handler_ = [&](const FakeRequest&) { return reply; };
  ASSERT_TRUE(Challenge(Bearer()).ok());
  for (const int status : {401, 403, 400}) {
    reply.status = status;
    const auto header = Header();
    EXPECT_TRUE(absl::IsPermissionDenied(header.status())) << status;
    EXPECT_THAT(std::string(base::Message(header.status())), Not(HasSubstr("se-cret")));
  }
  for (const int status : {429, 500, 302}) {
    reply.status = status;
    EXPECT_TRUE(absl::IsUnavailable(Header().status())) << status;
  }
  reply.status = 200;
  for (const char* body :
       {"", "{}", "[1]", R"({"token":""})", R"({"token":"a\r\nX: y"})", R"({"token":7})"}) {
    reply.body = body;
    EXPECT_TRUE(absl::IsUnavailable(Header().status())) << body;
  }
  reply.body = std::string((1 << 20) + 1, ' ');
  EXPECT_TRUE(absl::IsUnavailable(Header().status()));
}

TEST(Token, IsReadFromEitherName) {
  EXPECT_EQ(ParseToken(R"({"token":"a","access_token":"b"})")->value, "a");
  EXPECT_EQ(ParseToken(R"({"access_token":"b"})")->value, "b");
  EXPECT_EQ(ParseToken(R"({"token":"a"})")->lifetime, std::chrono::seconds(60));
  EXPECT_EQ(ParseToken(R"({"token":"a","expires_in":1e300})")->lifetime, std::chrono::hours(24));
  EXPECT_EQ(ParseToken(R"({"token":"a","expires_in":-5})")->lifetime, std::chrono::seconds(0));
  EXPECT_EQ(ParseToken(R"({"token":"a","expires_in":"x"})")->lifetime, std::chrono::seconds(60));
}

}  // namespace
}  // namespace eagle::registry
