#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/registry/manifest.h"
#include "lib/registry/registry_client_testing.h"

namespace eagle::registry {
namespace {

using ::testing::HasSubstr;

class RegistryClientManifestTest : public RegistryClientTest {
 protected:
  absl::StatusOr<std::string> FetchManifest(const std::string& reference) {
    client_ = std::make_unique<Client>(options_, proxies_, clock_);
    return client_->FetchManifest(origin_, "library/app", reference, cancellation_);
  }
};

TEST_F(RegistryClientManifestTest, ByTagAndByDigest) {
  const std::string manifest = R"({"schemaVersion":2,"layers":[]})";
  Serve([&](const FakeRequest& request) { return FakeReply::Of(manifest, request); });
  EXPECT_EQ(*FetchManifest("1"), manifest);
  const std::string digest = base::Digest::Of(manifest).str();
  EXPECT_EQ(*FetchManifest(digest), manifest);
  ASSERT_EQ(registry_->requests().size(), 2u);
  EXPECT_EQ(registry_->requests()[0].target, "/v2/library/app/manifests/1");
  EXPECT_EQ(registry_->requests()[0].header("Accept"), kManifestTypes);
  EXPECT_EQ(registry_->requests()[1].target, "/v2/library/app/manifests/" + digest);
}

TEST_F(RegistryClientManifestTest, OtherBytesThanTheDigestsAreNotTaken) {
  Serve([](const FakeRequest& request) { return FakeReply::Of("other", request); });
  const auto text = FetchManifest(base::Digest::Of("manifest").str());
  EXPECT_TRUE(absl::IsUnavailable(text.status())) << text.status();
  EXPECT_THAT(std::string(base::Message(text.status())), HasSubstr("3 attempts"));
}

TEST_F(RegistryClientManifestTest, OneThatIsTooLargeIsRefusedWhateverItClaims) {
  const std::string large(static_cast<std::size_t>(kMaxManifestBytes) + 1, ' ');
  std::atomic<bool> chunked = false;
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of(large, request);
    reply.chunked = chunked;
    return reply;
  });
  EXPECT_TRUE(absl::IsResourceExhausted(FetchManifest("1").status()));
  chunked = true;
  EXPECT_TRUE(absl::IsResourceExhausted(FetchManifest("1").status()));
  EXPECT_EQ(registry_->requests().size(), 2u);
}

TEST_F(RegistryClientManifestTest, TriedAgainAfterTroubleButNotAfterARefusal) {
  std::atomic<int> asked = 0;
  Serve([&](const FakeRequest& request) {
    FakeReply reply = FakeReply::Of("manifest", request);
    if (++asked == 1) reply.status = 503;
    return reply;
  });
  EXPECT_EQ(*FetchManifest("1"), "manifest");
  EXPECT_EQ(asked, 2);
  Serve([](const FakeRequest&) {
    FakeReply reply;
    reply.status = 404;
    return reply;
  });
  const auto missing = FetchManifest("1");
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(base::Message(missing.status())), HasSubstr("no such manifest"));
  EXPECT_EQ(registry_->requests().size(), 1u);
}

TEST_F(RegistryClientManifestTest, NothingIsAskedForWhatIsNoReference) {
  Serve([](const FakeRequest& request) { return FakeReply::Of("manifest", request); });
  for (const char* reference : {"", "a/b", "../x", "sha256:00"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(FetchManifest(reference).status())) << reference;
  }
  EXPECT_TRUE(registry_->requests().empty());
}

}  // namespace
}  // namespace eagle::registry
