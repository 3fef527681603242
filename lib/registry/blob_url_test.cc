#include "lib/registry/blob_url.h"

#include <gtest/gtest.h>

namespace eagle::registry {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(BlobUrl, TakesApartWhatNodesSend) {
  const std::string text = "https://registry.example.com/v2/library/my_app/blobs/" + kDigest;
  const auto url = BlobUrl::Parse(text);
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->registry, "registry.example.com");
  EXPECT_EQ(url->repository, "library/my_app");
  EXPECT_EQ(url->digest.str(), kDigest);
  EXPECT_EQ(url->str(), text);
}

TEST(BlobUrl, KnowsARegistryInAnyCase) {
  const auto url = BlobUrl::Parse("https://Registry.Lab/v2/a/blobs/" + kDigest);
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->registry, "registry.lab");
}

TEST(BlobUrl, ARepositoryMayBeCalledBlobs) {
  const auto url = BlobUrl::Parse("https://r/v2/a/blobs/b/blobs/" + kDigest);
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->repository, "a/blobs/b");
}

TEST(BlobUrl, RefusesEverythingElse) {
  const std::string end = "/v2/app/blobs/" + kDigest;
  for (const std::string& text : {
           std::string(),
           "http://r" + end,
           "https://" + end,
           "https://r:5000" + end,
           "https://user@r" + end,
           "https://user:secret@r" + end,
           "https://r?x=" + end,
           "https://r#" + end,
           "https://[::1]" + end,
           "https://r.." + end,
           "https://-r" + end,
           "https://r\r\nHost: x" + end,
           "https://r" + end + "?a=b",
           "https://r" + end + "/",
           "https://r" + end + "\n",
           "https://r/v1/app/blobs/" + kDigest,
           "https://r/v2//blobs/" + kDigest,
           "https://r/v2/../../x/blobs/" + kDigest,
           "https://r/v2/App/blobs/" + kDigest,
           "https://r/v2/a%2fb/blobs/" + kDigest,
           "https://r/v2/app/manifests/" + kDigest,
           "https://r/v2/app/blobs/sha512:" + std::string(128, 'a'),
           "https://r/v2/app/blobs/sha256:" + std::string(64, 'A'),
           "https://" + std::string(254, 'r') + end,
           "https://r/v2/" + std::string(256, 'a') + "/blobs/" + kDigest,
           std::string(5000, 'x'),
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(BlobUrl::Parse(text).status())) << text;
  }
}

TEST(Repository, FollowsTheGrammarOfTheSpec) {
  for (const char* good : {"a", "0", "a/b", "a.b", "a_b", "a__b", "a-b", "a---b", "a-b/c__d/e.f"}) {
    EXPECT_TRUE(IsRepository(good)) << good;
  }
  for (const char* bad : {"", "/", "a/", "/a", "a//b", ".a", "a.", "a..b", "a___b", "a_-b", "-a",
                          "a-", "A", "a b", "a%b", "a\n", "..", "a/../b"}) {
    EXPECT_FALSE(IsRepository(bad)) << bad;
  }
}

TEST(HostName, IsLabelsWithDots) {
  for (const char* good : {"a", "a-b.c", "10.0.0.1", "A.example.com"}) {
    EXPECT_TRUE(IsHostName(good)) << good;
  }
  for (const char* bad :
       {"", ".", "a.", ".a", "a..b", "a-", "-a", "a_b", "a:1", "a b", "\xc3\xa4"}) {
    EXPECT_FALSE(IsHostName(bad)) << bad;
  }
}

}  // namespace
}  // namespace eagle::registry
