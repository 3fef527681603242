#include "lib/registry/registry_client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "lib/registry/http_transfer.h"
#include "lib/registry/registry_client_testing.h"

namespace eagle::registry {
namespace {

using ::testing::HasSubstr;

TEST_F(RegistryClientTest, FetchesABlobByItsUrl) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(sink_.size, static_cast<std::int64_t>(blob_.size()));
  ASSERT_EQ(registry_->requests().size(), 1u);
  const FakeRequest request = registry_->requests()[0];
  EXPECT_EQ(request.target, "/v2/library/app/blobs/" + base::Digest::Of(blob_).str());
  EXPECT_EQ(request.range, "");
  EXPECT_EQ(request.head.find("Authorization"), std::string::npos);
  EXPECT_EQ(request.head.find("Accept-Encoding"), std::string::npos);
}

TEST_F(RegistryClientTest, ResumesAfterABrokenConnection) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    if (request.range.empty()) reply.cut_after = 100'000;
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(sink_.begins, 1);
  ASSERT_EQ(registry_->requests().size(), 2u);
  EXPECT_EQ(registry_->requests()[1].range, "bytes=100000-");
}

TEST_F(RegistryClientTest, ProgressRestartsTheCountOfAttempts) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    reply.cut_after = (1 << 20) + 1;
    return reply;
  });
  options_.retries.attempts = 2;
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, StartsAnewWhereRangesAreNotKnown) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply;
    reply.body = blob_;
    if (request.range.empty()) reply.cut_after = 1000;
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, StartsAnewAfterARangeThatWasNotAskedFor) {
  int asked = 0;
  Serve([&](const FakeRequest& request) {
    FakeReply reply;
    reply.body = blob_;
    if (++asked == 1) reply.cut_after = 1000;
    if (!request.range.empty()) {
      reply.status = 206;
      reply.headers.emplace_back("Content-Range",
                                 fmt::format("bytes 999-{}/{}", blob_.size() - 1, blob_.size()));
    }
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(registry_->requests().back().range, "");
}

TEST_F(RegistryClientTest, StartsAnewAfter416) {
  int asked = 0;
  Serve([&](const FakeRequest& request) {
    FakeReply reply;
    reply.body = blob_;
    if (++asked == 1) reply.cut_after = 1000;
    if (!request.range.empty()) reply.status = 416;
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, GivesUpAfterItsAttempts) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    reply.cut_after = 10;
    return reply;
  });
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("gave up after 3 attempts"));
  EXPECT_EQ(registry_->requests().size(), 3u);
}

TEST_F(RegistryClientTest, TriesAgainAfter429And503) {
  int asked = 0;
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    if (++asked < 3) reply.status = asked == 1 ? 429 : 503;
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, WaitsAsRetryAfterAsksButNotLonger) {
  int asked = 0;
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    if (++asked == 1) {
      reply.status = 503;
      reply.headers.emplace_back("Retry-After", "3600");
    }
    return reply;
  });
  options_.retries.max_delay = milliseconds(300);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(Fetch().ok());
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, milliseconds(300));
  EXPECT_LT(took, std::chrono::seconds(60));
}

TEST_F(RegistryClientTest, MissingAndForbiddenLayersAreNotAskedForTwice) {
  int status = 404;
  Serve([&](const FakeRequest&) {
    FakeReply reply;
    reply.status = status;
    return reply;
  });
  FetchError(absl::StatusCode::kNotFound);
  status = 401;
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied), HasSubstr("credentials"));
  status = 403;
  FetchError(absl::StatusCode::kPermissionDenied);
  status = 400;
  FetchError(absl::StatusCode::kUnavailable);
  EXPECT_EQ(registry_->requests().size(), 4u);
}

TEST_F(RegistryClientTest, FollowsARedirectOnItsOwnHost) {
  Serve([&](const FakeRequest& request) {
    if (request.target == "/blob?sig=%2B1") return FakeReply::Of(blob_, request);
    return Redirect("/blob?sig=%2B1");
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, ResumesFromTheRegistryOnAndNotFromTheRedirect) {
  Serve([&](const FakeRequest& request) {
    if (request.target.starts_with("/v2/")) return Redirect("/blob", 302);
    FakeReply reply = FakeReply::Of(blob_, request);
    if (request.range.empty()) reply.cut_after = 1000;
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  EXPECT_EQ(registry_->requests().size(), 4u);
}

TEST_F(RegistryClientTest, DoesNotFollowToHostsThatAreNotAllowed) {
  Serve([&](const FakeRequest& request) {
    if (request.target == "/blob") return FakeReply::Of(blob_, request);
    return Redirect(OtherHost("/blob"));
  });
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied), HasSubstr("redirect_hosts"));
  EXPECT_EQ(registry_->requests().size(), 1u);

  origin_.redirect_hosts = {"127.0.0.2"};
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, AnyHostMeansPublicAddressesOnly) {
  Serve([&](const FakeRequest& request) {
    if (request.target == "/blob") return FakeReply::Of(blob_, request);
    // A name, so that only the address it resolves to gives it away.
    return Redirect(fmt::format("http://localhost:{}/blob", registry_->port()));
  });
  origin_.redirect_hosts = {"*"};
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied), HasSubstr("private network"));
  EXPECT_EQ(registry_->requests().size(), 1u);
  EXPECT_EQ(sink_.content, "");
}

TEST_F(RegistryClientTest, AnUnlistedRegistryIsNotOnThisHost) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  origin_.listed = false;
  FetchError(absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(RegistryClientTest, EndsARedirectLoop) {
  Serve([&](const FakeRequest& request) { return Redirect(request.target); });
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("more than 5 times"));
  EXPECT_EQ(registry_->requests().size(), 6u);
}

TEST_F(RegistryClientTest, RefusesRedirectsToOtherSchemes) {
  std::string location = "file:///etc/passwd";
  Serve([&](const FakeRequest&) { return Redirect(location); });
  FetchError(absl::StatusCode::kUnavailable);
  location = "";
  FetchError(absl::StatusCode::kUnavailable);
  location = "http://user:secret@127.0.0.1/";
  FetchError(absl::StatusCode::kUnavailable);
}

TEST_F(RegistryClientTest, RefusesALengthThatIsTooLargeEmptyOrUnknown) {
  FakeReply reply;
  reply.body = "x";
  Serve([&](const FakeRequest&) { return reply; });
  options_.max_blob_size = base::ByteSize{1000};
  reply.content_length = 1001;
  FetchError(absl::StatusCode::kResourceExhausted);
  reply.content_length = 0;
  FetchError(absl::StatusCode::kUnavailable);
  reply.content_length.reset();
  reply.chunked = true;
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("how long"));
  EXPECT_EQ(sink_.begins, 0);
}

TEST_F(RegistryClientTest, ALengthThatTheRegistryDoesNotStateMayBeKnown) {
  bool cut = true;
  Serve([&](const FakeRequest&) {
    FakeReply reply;
    reply.body = blob_;
    reply.chunked = true;
    if (std::exchange(cut, false)) reply.cut_after = 1000;
    return reply;
  });
  size_bytes_ = static_cast<std::int64_t>(blob_.size());
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  size_bytes_ = 1000;
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("more than it announced"));
}

TEST_F(RegistryClientTest, ResumesOnlyTheSameRepresentation) {
  std::string etag = "\"one\"";
  Serve([&](const FakeRequest& request) {
    // As RFC 9110, 13.1.5 has it: another one is sent whole.
    const std::string if_range = request.header("If-Range");
    FakeRequest whole = request;
    if (!if_range.empty() && if_range != etag) whole.range = "";
    FakeReply reply = FakeReply::Of(blob_, whole);
    reply.headers.emplace_back("ETag", etag);
    if (request.range.empty()) {
      reply.cut_after = 1000;
      etag = "\"two\"";
    }
    return reply;
  });
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
  ASSERT_EQ(registry_->requests().size(), 2u);
  EXPECT_EQ(registry_->requests()[1].header("If-Range"), "\"one\"");
}

TEST_F(RegistryClientTest, WeakETagsAndThoseOfOtherHostsAreNotSent) {
  std::string etag = "W/\"weak\"";
  int redirects = 0;
  Serve([&](const FakeRequest& request) {
    if (request.target.starts_with("/v2/") && etag[0] != 'W') {
      // A second request is sent elsewhere, where the ETag would mean nothing.
      return Redirect(++redirects == 1 ? OtherHost("/blob") : registry_->url() + "/blob");
    }
    FakeReply reply = FakeReply::Of(blob_, request);
    reply.headers.emplace_back("ETag", etag);
    if (request.range.empty()) reply.cut_after = 1000;
    return reply;
  });
  origin_.redirect_hosts = {"127.0.0.2"};
  ASSERT_TRUE(Fetch().ok());
  etag = "\"strong\"";
  ASSERT_TRUE(Fetch().ok());
  for (const FakeRequest& request : registry_->requests()) {
    EXPECT_EQ(request.header("If-Range"), "") << request.head;
  }
}

TEST_F(RegistryClientTest, ALengthThatChangesIsAnError) {
  int asked = 0;
  Serve([&](const FakeRequest&) {
    FakeReply reply;
    reply.body = blob_;
    reply.cut_after = 1000;
    reply.content_length = static_cast<std::int64_t>(blob_.size()) + asked++;
    return reply;
  });
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("changed the layer's length"));
}

TEST_F(RegistryClientTest, AServerThatSaysNothingIsGivenUp) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    reply.silent = request.range.empty();
    return reply;
  });
  options_.stall_timeout = milliseconds(50);
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("sent nothing for"));
}

TEST_F(RegistryClientTest, GoesOnAfterAStallInTheMiddle) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    if (request.range.empty()) {
      reply.cut_after = 1000;
      reply.hang = true;
    }
    return reply;
  });
  options_.stall_timeout = milliseconds(200);
  ASSERT_TRUE(Fetch().ok());
  EXPECT_EQ(sink_.content, blob_);
}

TEST_F(RegistryClientTest, ClosedPortIsUnavailable) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  registry_.reset();
  FetchError(absl::StatusCode::kUnavailable);
}

TEST_F(RegistryClientTest, ErrorsOfTheSinkEndTheFetch) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  sink_.begin_status = absl::UnavailableError("no room");
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("no room"));
  EXPECT_EQ(sink_.begins, 1);
  sink_.begin_status = absl::OkStatus();
  sink_.write_status = absl::ResourceExhaustedError("disk full");
  EXPECT_EQ(FetchError(absl::StatusCode::kResourceExhausted), "disk full");
  EXPECT_EQ(registry_->requests().size(), 2u);
}

TEST_F(RegistryClientTest, CancelEndsAFetchThatWaits) {
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(blob_, request);
    reply.cut_after = 1000;
    reply.hang = true;
    return reply;
  });
  options_.stall_timeout = std::chrono::minutes(5);
  std::atomic<bool> written = false;
  sink_.written = &written;
  std::thread canceller([&] {
    while (!written) std::this_thread::yield();
    cancellation_.Cancel();
  });
  const auto start = std::chrono::steady_clock::now();
  FetchError(absl::StatusCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  canceller.join();
}

TEST_F(RegistryClientTest, CancelEndsAPauseBetweenAttempts) {
  std::atomic<bool> asked = false;
  Serve([&](const FakeRequest&) {
    asked = true;
    FakeReply reply;
    reply.status = 503;
    return reply;
  });
  options_.retries.delay = options_.retries.max_delay = std::chrono::minutes(5);
  std::thread canceller([&] {
    while (!asked) std::this_thread::yield();
    cancellation_.Cancel();
  });
  FetchError(absl::StatusCode::kCancelled);
  canceller.join();
}

TEST_F(RegistryClientTest, RefusesARepositoryThatIsNone) {
  Serve([&](const FakeRequest& request) { return FakeReply::Of(blob_, request); });
  repositories_ = {"library/app", "../../secret"};
  FetchError(absl::StatusCode::kInvalidArgument);
  repositories_.clear();
  FetchError(absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(registry_->requests().empty());
}

TEST(ContentRange, IsParsedStrictly) {
  const auto range = ContentRange::Parse("bytes 5-9/10");
  ASSERT_TRUE(range.ok());
  EXPECT_EQ(range->first, 5);
  EXPECT_EQ(range->last, 9);
  EXPECT_EQ(range->total, 10);
  for (const char* bad : {"", "bytes", "bytes 5-9", "bytes 5-9/*", "bytes */10", "bytes 9-5/10",
                          "bytes 5-10/10", "bytes -1-9/10", "items 5-9/10", "bytes 5-9/10x",
                          "bytes 5-9/99999999999999999999", "bytes /-"}) {
    EXPECT_FALSE(ContentRange::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace eagle::registry
