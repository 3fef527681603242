#include "lib/registry/manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/registry/image_name.h"

namespace eagle::registry {
namespace {

using ::testing::HasSubstr;

const std::string kA = base::Digest::Of("a").str();
const std::string kB = base::Digest::Of("b").str();
constexpr char kLayer[] = "application/vnd.oci.image.layer.v1.tar+gzip";

std::string Layer(const std::string& type, const std::string& digest, const std::string& size) {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}}})", type, digest, size);
}
std::string Image(const std::string& layers) {
  return fmt::format(R"({{"schemaVersion":2,"layers":[{}]}})", layers);
}

TEST(Manifest, HasEachLayerOnceAndNothingThatIsNoLayer) {
  const std::string type = kLayer;
  const auto manifest = Manifest::Parse(
      Image(Layer(type, kA, "5") + "," + Layer("application/json", "sha512:00", "1") + "," +
            Layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", kA, "1") + "," +
            Layer("application/vnd.docker.image.rootfs.diff.tar.gzip", kB, "7") + "," +
            Layer(type, kA, "5")));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_FALSE(manifest->is_index);
  EXPECT_THAT(manifest->layers, ::testing::ElementsAre(ManifestLayer{base::Digest::Of("a"), 5},
                                                       ManifestLayer{base::Digest::Of("b"), 7}));
}

TEST(Manifest, AnIndexHasItsPlatforms) {
  const auto index = Manifest::Parse(fmt::format(
      R"({{"schemaVersion":2,"manifests":[
        {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":9,
          "platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
        {{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{}","size":9,
          "platform":{{"os":"linux","architecture":"amd64"}}}},
        {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":9}}]}})",
      kA, kB, kB));
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_TRUE(index->is_index);
  ASSERT_EQ(index->entries.size(), 1u);
  EXPECT_EQ(index->entries[0].digest.str(), kA);
  EXPECT_EQ(index->entries[0].platform.str(), "linux/arm64/v8");
}

TEST(Manifest, RefusesWhatIsNone) {
  const std::string bad_layer = R"({"mediaType":"application/vnd.oci.image.layer.v1.tar"})";
  for (const std::string& text :
       {std::string("[]"), std::string("{"), std::string(R"({"schemaVersion":1,"layers":[]})"),
        std::string(R"({"schemaVersion":2})"),
        std::string(R"({"schemaVersion":2,"layers":[],"manifests":[]})"),
        std::string(R"({"schemaVersion":2,"layers":{}})"), Image("7"), Image(bad_layer),
        Image(Layer(kLayer, kA, "0")), Image(Layer(kLayer, kA, "-1")),
        Image(Layer(kLayer, kA, "18446744073709551615")), Image(Layer(kLayer, kA, "1.5")),
        Image(Layer(kLayer, "sha256:00", "1")),
        std::string(static_cast<std::size_t>(kMaxManifestBytes) + 1, ' ')}) {
    const auto manifest = Manifest::Parse(text);
    EXPECT_TRUE(absl::IsInvalidArgument(manifest.status())) << text.substr(0, 200);
  }
  std::string many = Layer(kLayer, kA, "1");
  for (int i = 0; i < 1000; ++i) many += "," + Layer(kLayer, kA, "1");
  EXPECT_THAT(std::string(base::Message(Manifest::Parse(Image(many)).status())),
              HasSubstr("over 1000"));
}

TEST(Platform, AVariantThatIsNotAskedForIsAny) {
  const auto arm = Platform::Parse("linux/arm64");
  ASSERT_TRUE(arm.ok());
  EXPECT_TRUE(arm->Matches({"linux", "arm64", "v8"}));
  EXPECT_FALSE(arm->Matches({"linux", "amd64", ""}));
  EXPECT_FALSE(Platform::Parse("linux/arm/v7")->Matches({"linux", "arm", "v6"}));
  for (const char* text : {"", "linux", "linux/", "/amd64", "a/b/c/d", "linux/AMD64", "a/b/"}) {
    EXPECT_FALSE(Platform::Parse(text).ok()) << text;
  }
}

TEST(ImageName, FollowsDockersRules) {
  const struct {
    const char* text;
    std::string full;
  } kCases[] = {
      {"nginx", "docker.io/library/nginx:latest"},
      {"team/app:1", "docker.io/team/app:1"},
      {"index.docker.io/nginx:1", "docker.io/library/nginx:1"},
      {"localhost/app", "localhost/app:latest"},
      {"Registry.Lab:5000/team/app:1.2_x", "registry.lab/team/app:1.2_x"},
  };
  for (const auto& test : kCases) {
    const auto name = ImageName::Parse(test.text);
    ASSERT_TRUE(name.ok()) << test.text << ": " << name.status();
    EXPECT_EQ(name->str(), test.full);
    EXPECT_EQ(*ImageName::Parse(name->str()), *name);
  }
  const auto both = ImageName::Parse("registry.lab/app:1@" + kA);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->reference(), kA);
  EXPECT_EQ(both->tag, "1");
  EXPECT_EQ(ImageName::Parse("registry.lab/app@" + kA)->tag, "");
}

TEST(ImageName, RefusesWhatCouldLeadElsewhere) {
  for (const char* text :
       {"", "https://registry.lab/app", "registry.lab/", "registry.lab/../app", "registry.lab/App",
        "registry.lab:x/app", "user@registry.lab/app", "registry.lab/app:", "registry.lab/app:a/b",
        "registry.lab/app@sha256:00", "registry.lab/app?x=1", "registry_.lab:1/app", "a b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ImageName::Parse(text).status())) << text;
  }
}

}  // namespace
}  // namespace eagle::registry
