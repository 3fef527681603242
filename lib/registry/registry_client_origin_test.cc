// What an origin has beside its endpoint: credentials, mirrors, proxies, several connections.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "lib/base/file.h"
#include "lib/registry/registry_client_testing.h"
#include "lib/testing/temp_dir.h"

namespace eagle::registry {
namespace {

using ::testing::HasSubstr;

FakeReply Status(int status) {
  FakeReply reply;
  reply.status = status;
  return reply;
}

class OriginClientTest : public RegistryClientTest {
 protected:
  void UsePassword() {
    ASSERT_TRUE(base::WriteFileAtomic(dir_.path() + "/password", "pass").ok());
    origin_.credentials = {"user", dir_.path() + "/password", ""};
  }
  FakeReply Unauthorized() const {
    FakeReply reply = Status(401);
    reply.headers.emplace_back(
        "WWW-Authenticate",
        fmt::format("Bearer realm=\"{}/token\",service=\"s\"", registry_->url()));
    return reply;
  }
  // A registry with a token server of its own; the tokens are "t1", "t2", ...
  FakeReply WithToken(const FakeRequest& request, const std::string& expected) {
    if (request.target.starts_with("/token")) {
      FakeReply reply;
      reply.body = fmt::format(R"({{"token":"t{}"}})", ++tokens_);
      return reply;
    }
    if (request.header("Authorization") != expected) return Unauthorized();
    return FakeReply::Of(blob_, request);
  }

  testing::TempDir dir_;
  std::atomic<int> tokens_ = 0;
};

TEST_F(OriginClientTest, AnswersAChallengeAndKeepsTheToken) {
  Serve([this](const FakeRequest& request) { return WithToken(request, "Bearer t1"); });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  ASSERT_TRUE(Fetch().ok());
  // 401, token, layer; layer.
  EXPECT_EQ(registry_->requests().size(), 4u);
}

TEST_F(OriginClientTest, ATokenThatIsRefusedIsReplaced) {
  std::string expected = "Bearer t1";
  Serve([&](const FakeRequest& request) { return WithToken(request, expected); });
  ASSERT_TRUE(Fetch().ok());
  expected = "Bearer t2";
  ASSERT_TRUE(Fetch().ok());
  expected = "Bearer none";
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied),
              HasSubstr("may not have this layer"));
  // One new token for a request is enough to know.
  EXPECT_EQ(tokens_, 3);
}

TEST_F(OriginClientTest, APasswordGoesToTheRegistryWhenItWantsOne) {
  UsePassword();
  Serve([this](const FakeRequest& request) {
    if (request.header("Authorization") == "Basic dXNlcjpwYXNz") {
      return FakeReply::Of(blob_, request);
    }
    FakeReply reply = Status(401);
    reply.headers.emplace_back("WWW-Authenticate", "Basic realm=\"basic-realm\"");
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(registry_->requests()[0].header("Authorization"), "");
}

TEST_F(OriginClientTest, AuthorizationStaysWithTheEndpoint) {
  UsePassword();
  FakeRegistry store([this](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  std::string location;
  Serve([&](const FakeRequest& request) {
    if (request.target == "/own") return FakeReply::Of(blob_, request);
    if (request.target.starts_with("/token") || request.header("Authorization").empty()) {
      return WithToken(request, "Bearer t1");
    }
    return Redirect(location);
  });
  // Another port is another server, as is another host.
  location = store.url() + "/blob";
  ASSERT_TRUE(Fetch().ok());
  location = fmt::format("http://127.0.0.2:{}/blob", store.port());
  origin_.redirect_hosts = {"127.0.0.2"};
  ASSERT_TRUE(Fetch().ok());
  ASSERT_EQ(store.requests().size(), 2u);
  for (const FakeRequest& request : store.requests()) {
    EXPECT_EQ(request.header("Authorization"), "");
  }
  location = "/own";
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(registry_->requests().back().header("Authorization"), "Bearer t1");
}

TEST_F(OriginClientTest, AHostThatIsRedirectedToCanNotAskForCredentials) {
  UsePassword();
  FakeRegistry thief([&](const FakeRequest&) {
    FakeReply reply = Status(401);
    reply.headers.emplace_back("WWW-Authenticate", "Basic realm=\"x\"");
    return reply;
  });
  Serve([&](const FakeRequest&) { return Redirect(thief.url() + "/blob"); });
  FetchError(absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(thief.requests().size(), 1u);
  EXPECT_EQ(registry_->requests().size(), 1u);
}

TEST_F(OriginClientTest, TheNextRepositoryIsAskedWhenOneDenies) {
  std::map<std::string, int> statuses{{"one", 403}, {"two", 404}};
  Serve([&](const FakeRequest& request) {
    const std::string repository = request.target.substr(4, request.target.find("/blobs/") - 4);
    return statuses.contains(repository) ? Status(statuses[repository])
                                         : FakeReply::Of(blob_, request);
  });
  repositories_ = {"one", "two", "three"};
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(registry_->requests().size(), 3u);
  // Denied says more than not there.
  repositories_ = {"one", "two"};
  FetchError(absl::StatusCode::kPermissionDenied);
  repositories_ = {"two"};
  FetchError(absl::StatusCode::kNotFound);
}

TEST_F(OriginClientTest, MirrorsAreAskedFirstAndTheEndpointWhenTheyFail) {
  std::atomic<int> mirror_status = 200;
  FakeRegistry mirror([&](const FakeRequest& request) {
    return mirror_status == 200 ? FakeReply::Of(blob_, request) : Status(mirror_status);
  });
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  origin_.mirrors = {*HttpUrl::Parse(mirror.url())};
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(registry_->requests().size(), 0u);
  for (const int status : {404, 403, 500}) {
    mirror_status = status;
    sink_.content.clear();
    ASSERT_TRUE(Fetch().ok()) << status;
    EXPECT_EQ(sink_.content, blob_);
  }
  EXPECT_EQ(registry_->requests().size(), 3u);
}

TEST_F(OriginClientTest, AMirrorThatCanNotBeReachedIsLeftAloneForAWhile) {
  std::atomic<bool> down = true;
  FakeRegistry mirror([&](const FakeRequest& request) {
    return down ? Status(503) : FakeReply::Of(blob_, request);
  });
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  origin_.mirrors = {*HttpUrl::Parse(mirror.url())};
  ASSERT_TRUE(Fetch().ok());
  // With somebody else to ask, a mirror has two attempts and no more.
  EXPECT_EQ(mirror.requests().size(), 2u);
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(mirror.requests().size(), 2u);
  down = false;
  clock_.Advance(options_.mirror_pause);
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(mirror.requests().size(), 3u);
}

TEST_F(OriginClientTest, TheEndpointGoesOnWhereAMirrorBrokeOff) {
  FakeRegistry mirror([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    reply.cut_after = 1000;
    return reply;
  });
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  origin_.mirrors = {*HttpUrl::Parse(mirror.url())};
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(sink_.begins, 1);
  ASSERT_EQ(registry_->requests().size(), 1u);
  EXPECT_EQ(registry_->requests()[0].range, "bytes=2000-");
}

TEST_F(OriginClientTest, AnErrorOfTheSinkIsNotAskedOfTheNextOne) {
  FakeRegistry mirror([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  origin_.mirrors = {*HttpUrl::Parse(mirror.url())};
  repositories_ = {"one", "two"};
  sink_.write_status = absl::ResourceExhaustedError("disk full");
  FetchError(absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(mirror.requests().size() + registry_->requests().size(), 1u);
}

TEST_F(OriginClientTest, AProxyIsAskedForTheWholeUrl) {
  // A proxy sees the URL in full (RFC 9112, 3.2.2) and the name is its own to resolve.
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  const std::string proxy = registry_->url();
  origin_.endpoint = *HttpUrl::Parse("http://registry.invalid:5000");
  proxies_ = Proxies::FromEnvironment(
      [&](const std::string& name) { return name == "http_proxy" ? proxy : std::string(); });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_THAT(registry_->requests()[0].target, HasSubstr("http://registry.invalid:5000/v2/"));
}

TEST_F(OriginClientTest, AProxyIsNotAskedForInsideAddresses) {
  Serve([&](const FakeRequest& request) {
    if (request.target.find("/v2/") == std::string::npos) return FakeReply::Of(blob_, request);
    return Redirect("http://169.254.169.254/latest/meta-data");
  });
  const std::string proxy = registry_->url();
  origin_.endpoint = *HttpUrl::Parse("http://registry.invalid:5000");
  origin_.redirect_hosts = {"*"};
  proxies_ = Proxies::FromEnvironment(
      [&](const std::string& name) { return name == "http_proxy" ? proxy : std::string(); });
  FetchError(absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(registry_->requests().size(), 1u);
}

class ParallelClientTest : public OriginClientTest {
 protected:
  ParallelClientTest() {
    origin_.connections_per_layer = 4;
    options_.large_blob = base::MiB(1);
    options_.part_size = base::ByteSize{100'000};
    size_bytes_ = static_cast<std::int64_t>(blob_.size());
  }
  // Bytes that left the server.
  [[nodiscard]] std::size_t Sent() const {
    std::size_t sent = 0;
    for (const FakeRequest& request : registry_->requests()) {
      sent += static_cast<std::size_t>(request.last(blob_.size()) - request.first() + 1);
    }
    return sent;
  }
};

TEST_F(ParallelClientTest, LargeLayersComeInPartsAndInOrder) {
  absl::Mutex mutex;
  int inside = 0;
  bool several = false;
  Serve([&](const FakeRequest& request) {
    if (request.first() > 0) {
      const absl::MutexLock held(&mutex);
      several = several || ++inside > 1;
      // Until there is another one, which proves that they are at work together.
      mutex.AwaitWithTimeout(absl::Condition(&several), absl::Seconds(30));
      --inside;
    }
    return FakeReply::Of(blob_, request);
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(sink_.begins, 1);
  EXPECT_TRUE(several);
  EXPECT_EQ(registry_->requests().size(), (blob_.size() + 99'999) / 100'000);
  EXPECT_EQ(Sent(), blob_.size());
}

TEST_F(ParallelClientTest, WithoutRangesTheLayerComesWhole) {
  Serve([&](const FakeRequest&) {
    FakeReply reply;
    reply.body = blob_;
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(registry_->requests().size(), 1u);
}

TEST_F(ParallelClientTest, RangesThatEndInTheMiddleLeaveTheRestWhole) {
  Serve([&](const FakeRequest& request) {
    FakeRequest whole = request;
    if (request.first() > 1'000'000) whole.range = "";
    return FakeReply::Of(blob_, whole);
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(sink_.begins, 1);
}

TEST_F(ParallelClientTest, AWrongSizeOfTheCallersDoesNoHarm) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  for (const std::int64_t wrong : {std::int64_t{1}, std::int64_t{2} << 20, std::int64_t{1} << 40}) {
    size_bytes_ = wrong;
    sink_.content.clear();
    ASSERT_TRUE(Fetch().ok());
    EXPECT_EQ(sink_.content, blob_) << wrong;
  }
}

TEST_F(ParallelClientTest, ABrokenPartGoesOnWhereItWas) {
  absl::Mutex mutex;
  std::set<std::int64_t> broken;
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    const absl::MutexLock held(&mutex);
    if (request.first() % 100'000 == 0 && broken.insert(request.first()).second) {
      reply.cut_after = 700;
    }
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(ParallelClientTest, APartThatFailsForGoodEndsIt) {
  Serve([&](const FakeRequest& request) {
    return request.first() >= 1'500'000 ? Status(403) : FakeReply::Of(blob_, request);
  });
  FetchError(absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(sink_.content, blob_.substr(0, sink_.content.size()));
}

TEST_F(ParallelClientTest, PartsGoStraightToWhereTheRedirectLedUntilItExpires) {
  absl::Mutex mutex;
  std::map<std::string, int> uses;
  Serve([&](const FakeRequest& request) {
    const absl::MutexLock held(&mutex);
    if (request.target.starts_with("/v2/")) {
      return Redirect(fmt::format("/blob?signature={}", uses.size() + 1));
    }
    // A signature is good for five requests.
    if (++uses[request.target] > 5) return Status(403);
    return FakeReply::Of(blob_, request);
  });
  origin_.connections_per_layer = 2;
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  const std::size_t parts = (blob_.size() + 99'999) / 100'000;
  EXPECT_GE(uses.size(), parts / 5);
  EXPECT_LT(uses.size(), parts / 2);
}

TEST_F(ParallelClientTest, CancelEndsAllParts) {
  std::atomic<int> hanging = 0;
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    if (request.first() > 0) {
      reply.silent = true;
      ++hanging;
    }
    return reply;
  });
  options_.stall_timeout = std::chrono::minutes(5);
  std::thread canceller([&] {
    while (hanging < 4) std::this_thread::yield();
    cancellation_.Cancel();
  });
  FetchError(absl::StatusCode::kCancelled);
  canceller.join();
}

TEST_F(ParallelClientTest, AnErrorOfTheSinkEndsAllParts) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  sink_.fail_after = 500'000;
  EXPECT_EQ(FetchError(absl::StatusCode::kResourceExhausted), "disk full");
}

TEST_F(ParallelClientTest, TheConnectionsOfAnOriginAreBounded) {
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  Serve([&](const FakeRequest& request) {
    const int now = ++inside;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::yield();
    --inside;
    return FakeReply::Of(blob_, request);
  });
  origin_.max_connections = 2;
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_LE(most, 2);
}

}  // namespace
}  // namespace eagle::registry
