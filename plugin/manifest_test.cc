#include "plugin/manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "plugin/manifest_index.h"

namespace eagle::plugin {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string LayerJson(const base::Digest& digest, std::int64_t size,
                      const std::string& type = "application/vnd.oci.image.layer.v1.tar+gzip") {
  return fmt::format(
      R"({{"mediaType":"{}","digest":"{}","size":{},"annotations":{{"size":7,"digest":"x"}}}})",
      type, digest.str(), size);
}

std::string ManifestJson(const std::string& layers) {
  return R"({"schemaVersion":2,"config":{"digest":"sha256:00","size":2},"layers":[)" + layers +
         R"(],"annotations":{"layers":"no","a":[{"digest":"x"}]}})";
}

const base::Digest kA = base::Digest::Of("a");
const base::Digest kB = base::Digest::Of("b");

TEST(Manifest, NamesItsLayersInOrder) {
  const auto layers = ParseManifestLayers(
      ManifestJson(LayerJson(kA, 10) + "," +
                   LayerJson(kB, 20, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")));
  ASSERT_TRUE(layers.has_value());
  ASSERT_THAT(*layers, SizeIs(2));
  EXPECT_EQ(layers->at(0).digest, kA);
  EXPECT_EQ(layers->at(0).size_bytes, 10);
  EXPECT_FALSE(layers->at(0).foreign);
  EXPECT_EQ(layers->at(1).digest, kB);
  EXPECT_TRUE(layers->at(1).foreign);
}

TEST(Manifest, IsNothingElse) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("{}"),
        std::string(R"({"layers":{}})"), std::string(R"({"layers":[]})"),
        std::string(R"({"layers":[1,2]})"), std::string(R"({"layers":["a"]})"),
        std::string(R"({"rootfs":{"layers":[{"digest":"x"}]}})"),
        std::string(R"({"manifests":[{"digest":"sha256:00","size":1}]})"),
        ManifestJson(R"({"digest":"sha256:zz","size":1})"),
        ManifestJson(R"({"digest":")" + kA.str() + R"("})"),
        ManifestJson(R"({"digest":")" + kA.str() + R"(","size":-1})"),
        ManifestJson(R"({"digest":")" + kA.str() + R"(","size":1e400})"),
        ManifestJson(R"({"digest":")" + kA.str() + R"(","size":18446744073709551615})"),
        ManifestJson(LayerJson(kA, 1)) + "x",
        R"({"layers":[)" + LayerJson(kA, 1) + R"(],"layers":[)" + LayerJson(kB, 1) + "]}",
        std::string("{\"layers\":[\"\xff\xfe\"]}")}) {
    EXPECT_FALSE(ParseManifestLayers(text).has_value()) << text;
  }
}

TEST(Manifest, JunkOfAnyShapeIsHarmless) {
  EXPECT_FALSE(ParseManifestLayers(std::string(64 << 20, '{')).has_value());
  const std::size_t size = kMaxManifestBytes;
  EXPECT_FALSE(ParseManifestLayers(std::string(size, '{')).has_value());
  EXPECT_FALSE(ParseManifestLayers("{\"layers\":" + std::string(size - 10, '[')).has_value());
  std::string nested = "{\"a\":";
  while (nested.size() + 6 < size) nested += "{\"a\":";
  EXPECT_FALSE(ParseManifestLayers(nested).has_value());
  std::string many;
  for (int i = 0; i < 2000; ++i) many += (many.empty() ? "" : ",") + LayerJson(kA, 1);
  EXPECT_FALSE(ParseManifestLayers(ManifestJson(many)).has_value());
}

std::vector<base::Digest> Parents(const ManifestIndex& index, const base::Digest& layer,
                                  const std::string& ns = "k8s.io", std::size_t max = 8) {
  std::vector<base::Digest> out;
  for (const auto& parent : index.ParentsOf(layer, ns, max)) out.push_back(parent.manifest);
  return out;
}

TEST(ManifestIndex, KnowsTheParentsOfALayerLatestFirst) {
  ManifestIndex index;
  const base::Digest m1 = base::Digest::Of("m1");
  const base::Digest m2 = base::Digest::Of("m2");
  index.Learn(m1, "k8s.io", {{kA, 1}, {kB, 2}, {kA, 1}});
  index.Learn(m2, "k8s.io", {{kB, 2}});
  EXPECT_EQ(Parents(index, kA), std::vector{m1});
  EXPECT_EQ(Parents(index, kB), (std::vector{m2, m1}));
  EXPECT_EQ(Parents(index, kB, "k8s.io", 1), std::vector{m2});
  EXPECT_THAT(index.ParentsOf(kA, "", 1).at(0).layers, SizeIs(3));
  index.Forget(m2);
  EXPECT_EQ(Parents(index, kB), std::vector{m1});
  index.Forget(m1);
  EXPECT_THAT(Parents(index, kA), IsEmpty());
}

TEST(ManifestIndex, PrefersManifestsOfTheSameNamespace) {
  ManifestIndex index;
  const base::Digest ours = base::Digest::Of("ours");
  const base::Digest theirs = base::Digest::Of("theirs");
  index.Learn(ours, "k8s.io", {{kA, 1}});
  index.Learn(theirs, "default", {{kA, 1}});
  EXPECT_EQ(Parents(index, kA, "k8s.io"), (std::vector{ours, theirs}));
  EXPECT_EQ(Parents(index, kA, "default"), (std::vector{theirs, ours}));
  // A scan of the disk does not know the namespace, and takes nothing back.
  index.Learn(ours, "", {{kA, 1}});
  EXPECT_EQ(Parents(index, kA, "k8s.io"), (std::vector{ours, theirs}));
}

TEST(ManifestIndex, ForgetsTheFirstWhenFull) {
  ManifestIndex index(3);
  for (int i = 0; i < 10; ++i) {
    index.Learn(base::Digest::Of(std::to_string(i)), "n", {{kA, 1}, {kB, 1}});
  }
  EXPECT_EQ(index.size(), 1U);
  EXPECT_EQ(Parents(index, kA), std::vector{base::Digest::Of("9")});
}

}  // namespace
}  // namespace eagle::plugin
