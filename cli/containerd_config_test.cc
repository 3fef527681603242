#include "cli/containerd_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/containerd_host.h"
#include "cli/scratch_host.h"

namespace eagle::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kMain = "/etc/containerd/config.toml";

TEST(ContainerdConfig, ReadsImportsInOrderAndAppendsLists) {
  const ScratchHost host;
  host.Write(kMain,
             "version = 2\nroot = '/data'\ndisabled_plugins = ['cri']\n"
             "imports = ['/etc/containerd/conf.d/*.toml', 'near.toml']\n");
  host.Write("/etc/containerd/conf.d/50-eagle.toml",
             "version = 2\ndisabled_plugins = ['io.containerd.content.v1.content']\n"
             "[proxy_plugins.eagle]\n  type = 'content'\n  address = '/first'\n");
  host.Write("/etc/containerd/conf.d/60-late.toml",
             "[proxy_plugins.eagle]\n  address = '/second'\n");
  host.Write("/etc/containerd/near.toml", "[grpc]\naddress = '/run/c.sock'\n");
  const auto config = LoadContainerdConfig(host.root(), kMain);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->files.size(), 4U);
  EXPECT_EQ(config->root_version(), 2);
  EXPECT_EQ(config->root, "/data");
  EXPECT_EQ(config->address, "/run/c.sock");
  EXPECT_THAT(config->disabled, ElementsAre("cri", "io.containerd.content.v1.content"));
  EXPECT_EQ(config->proxies.at("eagle").type, "content");
  EXPECT_EQ(config->proxies.at("eagle").address, "/second");
  EXPECT_FALSE(config->Find("/etc/containerd/conf.d/60-late.toml")->version.has_value());
}

TEST(ContainerdConfig, AWildcardMayMatchNothingAndAnythingElseMustBeThere) {
  const ScratchHost host;
  host.Write(kMain, "imports = ['/nowhere/*.toml', '/etc/missing.toml']\n");
  const auto config = LoadContainerdConfig(host.root(), kMain);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->missing_imports, ElementsAre("/etc/missing.toml"));
  EXPECT_EQ(config->root_version(), 1);
}

TEST(ContainerdConfig, FilesThatImportOneAnotherEnd) {
  const ScratchHost host;
  host.Write(kMain, "imports = ['/etc/containerd/other.toml']\n");
  host.Write("/etc/containerd/other.toml", "imports = ['/etc/containerd/config.toml']\n");
  EXPECT_EQ(LoadContainerdConfig(host.root(), kMain)->files.size(), 2U);
}

TEST(ContainerdConfig, SaysWhereAFileIsNoToml) {
  const ScratchHost host;
  host.Write(kMain, "version = 2\nroot = \n");
  const auto config = LoadContainerdConfig(host.root(), kMain);
  EXPECT_TRUE(absl::IsInvalidArgument(config.status()));
  EXPECT_THAT(std::string(base::Message(config.status())), HasSubstr("config.toml:2:"));
  EXPECT_TRUE(absl::IsNotFound(LoadContainerdConfig(host.root(), "/none").status()));
}

TEST(ContainerdConfig, ReadsBothFormsOfTheCriSettings) {
  EXPECT_EQ(ParseContainerdConfig(
                "[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'stargz'\n", "a")
                ->snapshotter,
            "stargz");
  const auto v3 = ParseContainerdConfig(
      "[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'\n"
      "[plugins.'io.containerd.service.v1.diff-service']\ndefault = ['x', 'walking']\n"
      "[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\nplatform = 'linux'\n"
      "snapshotter = 'native'\ndiffer = 'x'\n",
      "b");
  EXPECT_EQ(v3->snapshotter, "native");
  EXPECT_THAT(v3->differs.at(0).order, ElementsAre("x", "walking"));
  EXPECT_EQ(v3->unpack.at(0).differ, "x");
}

TEST(ContainerdHost, UnderstandsWhatVersionsSay) {
  const auto debian =
      ParseVersion("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1\n");
  ASSERT_TRUE(debian.has_value());
  EXPECT_TRUE(debian->AtLeast(1, 6));
  EXPECT_FALSE(debian->AtLeast(1, 7));
  EXPECT_TRUE(
      ParseVersion("containerd github.com/containerd/containerd/v2 v2.3.7 \n")->AtLeast(2, 1));
  EXPECT_TRUE(ParseVersion("containerd github.com/k3s-io/containerd v1.7.23-k3s2")->AtLeast(1, 7));
  EXPECT_FALSE(ParseVersion("no numbers").has_value());
}

}  // namespace
}  // namespace eagle::cli
