#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/blob_name.h"
#include "plugin/content_ref.h"
#include "plugin/policy.h"
#include "plugin/source_labels.h"

namespace eagle::plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kHex(64, 'a');

TEST(BlobName, KnowsTheAlgorithmsOfContainerd) {
  const auto name = BlobName::Parse("sha512:" + std::string(128, 'b'));
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->algorithm(), "sha512");
  EXPECT_EQ(name->path(), "sha512/" + std::string(128, 'b'));
  EXPECT_TRUE(BlobName::Parse("sha384:" + std::string(96, '0')).ok());
  EXPECT_EQ(BlobName(base::Digest::Of("x")).str(), base::Digest::Of("x").str());
}

TEST(BlobName, RefusesEverythingThatIsNoDigest) {
  for (const std::string& text :
       {std::string(), std::string("sha256"), std::string("sha256:"), "sha256:" + kHex + "a",
        "sha256:" + std::string(64, 'A'), "md5:" + kHex, "sha256:../../../" + kHex.substr(9),
        ":" + kHex, kHex, "sha256:" + std::string(64, 'g'), "sha512:" + kHex}) {
    EXPECT_EQ(BlobName::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ContentRef, ReadsWhatContainerdsPullWrites) {
  const auto layer = ParseContentRef("k8s.io/12/layer-sha256:" + kHex);
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ(layer->kind, ContentRef::Kind::kLayer);
  EXPECT_EQ(layer->containerd_namespace, "k8s.io");
  EXPECT_EQ(layer->digest.hex(), kHex);
  EXPECT_EQ(ParseContentRef("default/1/manifest-sha256:" + kHex)->kind,
            ContentRef::Kind::kManifest);
  EXPECT_EQ(ParseContentRef("default/1/index-sha256:" + kHex)->kind, ContentRef::Kind::kIndex);
  EXPECT_EQ(ParseContentRef("default/1/config-sha256:" + kHex)->kind, ContentRef::Kind::kOther);
}

TEST(ContentRef, LeavesEveryOtherRefAlone) {
  for (const std::string& ref :
       {std::string(), std::string("layer-sha256:zz"), std::string("../../x"), std::string("//"),
        "layer-sha256:" + kHex, "a/layer-sha256:" + kHex, "a/b/layer-sha256:" + kHex,
        "/1/layer-sha256:" + kHex, "a/1/x/layer-sha256:" + kHex, std::string("a/1/layer-sha256:zz"),
        "a/1/layer-sha512:" + kHex, "a b/1/layer-sha256:" + kHex, "a/1/layer_sha256:" + kHex,
        "a/-1/layer-sha256:" + kHex, std::string("a\n/1/layer-sha256:") + kHex,
        std::string(100, 'n') + "/1/layer-sha256:" + kHex, "a/1/layer-sha256:" + kHex + "/.."}) {
    EXPECT_FALSE(ParseContentRef(ref).has_value()) << ref;
  }
}

TEST(SourceLabel, NamesOneSourceForEachRepository) {
  EXPECT_THAT(
      ParseSourceLabel("containerd.io/distribution.source.docker.io", "library/a,team/b"),
      ElementsAre(LayerSource{"docker.io", "library/a"}, LayerSource{"docker.io", "team/b"}));
  EXPECT_THAT(ParseSourceLabel("containerd.io/distribution.source.::1", "a"),
              ElementsAre(LayerSource{"::1", "a"}));
  EXPECT_THAT(ParseSourceLabel("containerd.io/gc.ref.content.l.0", "library/a"), IsEmpty());
}

TEST(SourceLabel, LeavesOutWhatIsNoName) {
  const std::string prefix = "containerd.io/distribution.source.";
  EXPECT_THAT(ParseSourceLabel(prefix, "a"), IsEmpty());
  EXPECT_THAT(ParseSourceLabel(prefix + "host/evil", "a"), IsEmpty());
  EXPECT_THAT(ParseSourceLabel(prefix + "host", "../x,,/a,a//b,a?x=1,a b,.hidden,ok"),
              ElementsAre(LayerSource{"host", "ok"}));
}

TEST(Policy, AllowsAllWithoutRules) {
  const auto policy = Policy::Create({}, {});
  ASSERT_TRUE(policy.ok());
  EXPECT_TRUE(policy->Allows({"docker.io", "library/a"}));
}

TEST(Policy, MatchesInFullAndDenyWins) {
  const auto policy = Policy::Create({"docker\\.io/team/.*"}, {".*/secret"});
  ASSERT_TRUE(policy.ok());
  EXPECT_TRUE(policy->Allows({"docker.io", "team/app"}));
  EXPECT_FALSE(policy->Allows({"docker.io", "team/secret"}));
  EXPECT_FALSE(policy->Allows({"my.docker.io", "team/app"}));
  EXPECT_FALSE(policy->Allows({"docker.io", "other"}));
}

TEST(Policy, NamesTheBadRule) {
  const auto policy = Policy::Create({"ok", "a("}, {});
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(base::Message(policy.status())), ::testing::HasSubstr("a("));
}

}  // namespace
}  // namespace eagle::plugin
