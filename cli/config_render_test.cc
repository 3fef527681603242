#include "cli/config_render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/scratch_host.h"

namespace eagle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kMain = "/etc/containerd/config.toml";
constexpr const char* kImports = "imports = ['/etc/containerd/conf.d/*.toml']\n";

absl::StatusOr<Rendered> Render(const ScratchHost& host, const std::string& target,
                                RenderOptions options = {}) {
  options.target = target;
  return RenderConfig(ContainerdHost::Look({.root = host.root()}), options);
}

std::string Message(const absl::StatusOr<Rendered>& rendered) {
  return std::string(base::Message(rendered.status()));
}

// What containerd 1.6.20 and 2.3.7 make of these is tried in e2e/scenarios/host.py.
void ExpectGolden(const absl::StatusOr<Rendered>& rendered, const std::string& name) {
  ASSERT_TRUE(rendered.ok()) << rendered.status();
  std::ifstream in(EAGLE_SOURCE_DIR "/cli/testdata/" + name);
  EXPECT_EQ(rendered->text, std::string(std::istreambuf_iterator<char>(in), {}));
}

TEST(ConfigRender, For16) {
  const ScratchHost host;
  host.Write(kMain, std::string("version = 2\n") + kImports);
  const auto rendered = Render(host, "1.6");
  ExpectGolden(rendered, "1.6.toml");
  EXPECT_EQ(rendered->path, "/etc/containerd/conf.d/50-eagle.toml");
  EXPECT_THAT(rendered->todo, Not(HasSubstr("import")));
}

TEST(ConfigRender, For17) {
  const ScratchHost host;
  host.Write(kMain, std::string("version = 2\n") + kImports);
  ExpectGolden(Render(host, "1.7"), "1.7.toml");
}

TEST(ConfigRender, For2xWithTheVersionOfTheMainFileAndTheSnapshotterOfCri) {
  const ScratchHost host;
  host.Write(kMain, std::string("version = 3\n") + kImports +
                        "[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'erofs'\n");
  ExpectGolden(Render(host, "2.x"), "2.x.toml");
  host.Write(kMain, std::string("version = 2\n") + kImports);
  EXPECT_THAT(Render(host, "2.x")->text, HasSubstr("\nversion = 2\n"));
}

TEST(ConfigRender, ForK3sAndRke2) {
  const ScratchHost host;
  host.Write("/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
             "version = 3\nimports = "
             "['/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/*.toml']\n");
  const auto k3s = Render(host, "k3s");
  ExpectGolden(k3s, "k3s.toml");
  EXPECT_EQ(k3s->path, "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/50-eagle.toml");
  EXPECT_THAT(k3s->todo, HasSubstr("systemctl restart k3s.service"));

  const ScratchHost other;
  other.Write("/var/lib/rancher/rke2/agent/etc/containerd/config.toml", "version = 2\n");
  const auto rke2 = Render(other, "rke2");
  ExpectGolden(rke2, "rke2.toml");
  // Its main file is written anew at each start, so the import goes into its template.
  EXPECT_THAT(rke2->todo, HasSubstr("{{ template \"base\" . }}"));
}

TEST(ConfigRender, WithoutAMainFileItSaysHowToMakeOne) {
  const ScratchHost host;
  const auto rendered = Render(host, "2.x");
  ASSERT_TRUE(rendered.ok());
  EXPECT_THAT(rendered->text, HasSubstr("\nversion = 3\n"));
  EXPECT_THAT(rendered->todo, HasSubstr("Make it of two lines: `version = 3` and `imports"));
}

TEST(ConfigRender, TellsWhenTheFolderIsNotImported) {
  const ScratchHost host;
  host.Write(kMain, "version = 2\n");
  EXPECT_THAT(Render(host, "1.6")->todo, HasSubstr("does not import the folder; add `imports"));
}

TEST(ConfigRender, RefusesAMainFileOfVersion1) {
  const ScratchHost host;
  host.Write(kMain, "root = '/data'\n");
  EXPECT_THAT(Message(Render(host, "1.6")), HasSubstr("containerd config migrate"));
}

TEST(ConfigRender, RefusesBesideAnUnpackConfigOfTheAdmin) {
  const ScratchHost host;
  host.Write(kMain, std::string("version = 3\n") + kImports);
  host.Write("/etc/containerd/conf.d/10-admin.toml",
             "version = 3\n[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\n"
             "platform = 'linux'\nsnapshotter = 'overlayfs'\n");
  EXPECT_THAT(Message(Render(host, "2.x")),
              HasSubstr("10-admin.toml has an unpack_config of io.containerd.transfer.v1.local"));
  EXPECT_THAT(Message(Render(host, "2.x")), HasSubstr("differ = \"eagle-diff\""));
  RenderOptions no_apply;
  no_apply.apply = false;
  const auto without = Render(host, "2.x", no_apply);
  ASSERT_TRUE(without.ok());
  EXPECT_THAT(without->text, Not(HasSubstr("eagle-diff")));
}

TEST(ConfigRender, RefusesBesideADiffOrderOfTheAdmin) {
  const ScratchHost host;
  host.Write(kMain, std::string("version = 2\n") + kImports +
                        "[plugins.'io.containerd.service.v1.diff-service']\n"
                        "default = ['walking']\n");
  EXPECT_THAT(Message(Render(host, "1.7")), HasSubstr("put \"eagle-diff\" in front"));
}

TEST(ConfigRender, ItsOwnDropInDoesNotStandInItsWay) {
  const ScratchHost host;
  host.Write(kMain, std::string("version = 3\n") + kImports);
  const std::string first = Render(host, "2.x")->text;
  host.Write("/etc/containerd/conf.d/50-eagle.toml", first);
  const auto second = Render(host, "2.x");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->text, first);
}

}  // namespace
}  // namespace eagle::cli
