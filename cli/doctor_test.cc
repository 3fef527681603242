#include "cli/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/scratch_host.h"

namespace eagle::cli {
namespace {

using ::testing::HasSubstr;

constexpr const char* kMain = "/etc/containerd/config.toml";
constexpr const char* kDropIn = "/etc/containerd/conf.d/50-eagle.toml";
constexpr const char* kStore = "/var/lib/containerd/io.containerd.content.v1.content";

std::string DropIn(int version) {
  return "version = " + std::to_string(version) +
         "\ndisabled_plugins = ['io.containerd.content.v1.content']\n"
         "[proxy_plugins.eagle]\n  type = 'content'\n  address = '/run/eagle/plugin.sock'\n";
}
const std::string kDiff =
    "[proxy_plugins.eagle-diff]\n  type = 'diff'\n  address = '/run/eagle/plugin.sock'\n"
    "[plugins.'io.containerd.service.v1.diff-service']\n  default = ['eagle-diff', 'walking']\n";

// A host on which nothing runs and nothing is wrong; each test breaks one thing.
class Doctor : public ::testing::Test {
 protected:
  Doctor() {
    host_.Write(kMain, "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n");
    host_.Write(kDropIn, DropIn(2));
    host_.Write("/etc/eagle/plugin.yaml", "log_level: info\n");
    host_.WriteProgram("/usr/local/bin/eagle-plugin");
    host_.WriteProgram("/usr/bin/containerd");
    for (const char* unit : {"eagle-plugin.socket", "eagle-plugin.service",
                             "eagle-fallback.service", "containerd.service.d/50-eagle.conf"}) {
      host_.Write(std::string("/etc/systemd/system/") + unit, "");
    }
    host_.Write("/etc/eagle/guard.sh", "");
    std::filesystem::create_directories(host_.At(kStore) + "/blobs/sha256");
    std::filesystem::create_directories(host_.At(kStore) + "/ingest");
  }

  // A containerd that says this version and, as its configuration, what the file says.
  void FakeContainerd(const std::string& version, const std::string& dump) {
    if (::geteuid() != 0) GTEST_SKIP() << "chroot(2) needs root";
    std::filesystem::create_directories(host_.At("/bin"));
    std::filesystem::copy_file("/bin/busybox", host_.At("/bin/busybox"));
    host_.Write("/dump.toml", dump);
    host_.WriteProgram(
        "/usr/bin/containerd",
        "#!/bin/busybox sh\ncase \"$*\" in\n*--version*) echo \"containerd c v" + version +
            "\";;\n*) /bin/busybox cat /dump.toml;"
            " [ -s /dump.toml ] || { echo 'panic: refused' >&2; exit 1; };;\nesac\n");
  }
  Report Run(bool offline = true) {
    return RunDoctor({.host = {.root = host_.root()}, .offline = offline});
  }
  // The gravest line of a check.
  static Finding Of(const Report& report, const std::string& check) {
    Finding worst;
    worst.check = "none";
    for (const Finding& finding : report.findings()) {
      if (finding.check == check && (worst.check == "none" || finding.verdict > worst.verdict)) {
        worst = finding;
      }
    }
    return worst;
  }
  void Expect(Verdict verdict, const std::string& check, const std::string& text) {
    const Report report = Run();
    const Finding finding = Of(report, check);
    EXPECT_EQ(finding.check, check) << report.Text();
    EXPECT_EQ(finding.verdict, verdict) << report.Text();
    EXPECT_THAT(finding.message, HasSubstr(text));
    EXPECT_EQ(finding.remedy.empty(), verdict == Verdict::kOk) << finding.message;
    EXPECT_GE(report.exit_code(), static_cast<int>(verdict));
  }

  ScratchHost host_;
};

TEST_F(Doctor, FindsNothingOnAGoodHost) {
  FakeContainerd("2.3.7", DropIn(2) + kDiff +
                              "[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\n"
                              "differ = 'eagle-diff'\n");
  if (IsSkipped()) return;
  const Report report = Run();
  for (const Finding& finding : report.findings()) {
    // How full the disk is, is this machine's affair.
    if (finding.check == "free-space") continue;
    EXPECT_EQ(finding.verdict, Verdict::kOk) << report.Text();
  }
}

TEST_F(Doctor, TwoStoresAtOnce) {
  host_.Write(kDropIn,
              "version = 2\n[proxy_plugins.eagle]\ntype = 'content'\naddress = '/run/eagle/"
              "plugin.sock'\n");
  Expect(Verdict::kFail, "content-store", "two content stores at once");
}

TEST_F(Doctor, TwoProxyStores) {
  host_.Write("/etc/containerd/conf.d/60-other.toml",
              "version = 2\n[proxy_plugins.other]\ntype = 'content'\naddress = '/o'\n");
  Expect(Verdict::kFail, "content-store", "eagle and other");
}

TEST_F(Doctor, NoStoreAtAll) {
  host_.Write(kDropIn, "version = 2\ndisabled_plugins = ['io.containerd.content.v1.content']\n");
  Expect(Verdict::kFail, "content-store", "no other is there");
}

TEST_F(Doctor, TheShortNameDisablesNothing) {
  std::string text = DropIn(2);
  text.replace(text.find("io.containerd.content.v1.content"), 32, "content");
  host_.Write(kDropIn, text);
  Expect(Verdict::kFail, "content-store", "disables nothing");
}

TEST_F(Doctor, TheBuiltInStoreAlone) {
  host_.Remove(kDropIn);
  Expect(Verdict::kWarn, "content-store", "Eagle is not in its configuration");
}

TEST_F(Doctor, ADropInOfAHigherVersion) {
  host_.Write(kDropIn, DropIn(3));
  Expect(Verdict::kFail, "drop-in-version", "has version 3");
}

TEST_F(Doctor, ADropInOfALowerVersion) {
  host_.Write(kMain, "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n");
  Expect(Verdict::kWarn, "drop-in-version", "has version 2");
}

TEST_F(Doctor, ADropInThatNobodyImports) {
  host_.Write(kMain, "version = 2\n");
  Expect(Verdict::kFail, "imports", "does not import it");
}

TEST_F(Doctor, AnImportThatIsNotThere) {
  host_.Write(kMain,
              "version = 2\nimports = ['/etc/containerd/conf.d/*.toml', '/etc/gone.toml']\n");
  Expect(Verdict::kFail, "imports", "/etc/gone.toml is imported and not there");
}

TEST_F(Doctor, ADropInThatTheGuardTookAway) {
  std::filesystem::rename(host_.At(kDropIn), host_.At(kDropIn) + ".off");
  host_.Write("/etc/eagle/disabled", "2026-01-01 the plugin failed\nmore\n");
  Expect(Verdict::kWarn, "imports", "50-eagle.toml.off");
  Expect(Verdict::kWarn, "disabled", "the plugin failed");
}

TEST_F(Doctor, NoMainFileAndBrokenOnes) {
  host_.Remove(kMain);
  Expect(Verdict::kWarn, "containerd-config", "reads no drop-in");
  host_.Write(kMain, "version = \n");
  Expect(Verdict::kFail, "containerd-config", "config.toml:1:");
}

TEST_F(Doctor, WhatContainerdItselfRefuses) {
  FakeContainerd("2.3.7", "");
  if (IsSkipped()) return;
  Expect(Verdict::kFail, "containerd-config", "panic: refused");
}

TEST_F(Doctor, ADiffPluginOn16) {
  FakeContainerd("1.6.20", DropIn(2) + kDiff);
  if (IsSkipped()) return;
  Expect(Verdict::kFail, "apply", "panics");
}

TEST_F(Doctor, AnOldContainerd) {
  FakeContainerd("1.5.9", DropIn(2));
  if (IsSkipped()) return;
  Expect(Verdict::kFail, "containerd-version", "too old");
}

TEST_F(Doctor, LayersThatContainerdUnpacksItself) {
  Expect(Verdict::kWarn, "apply", "32 KiB");
  host_.Write(kDropIn, DropIn(2) +
                           "[plugins.'io.containerd.service.v1.diff-service']\n"
                           "default = ['eagle-diff']\n");
  Expect(Verdict::kFail, "apply", "no proxy plugin has that name");
}

TEST_F(Doctor, TheTransferServiceLeftOut) {
  FakeContainerd("2.3.7", DropIn(2) + kDiff);
  if (IsSkipped()) return;
  Expect(Verdict::kWarn, "apply", "transfer service");
}

TEST_F(Doctor, AnotherSocketThanThePlugins) {
  host_.Write("/etc/eagle/plugin.yaml", "listen: unix:/run/other.sock\n");
  Expect(Verdict::kFail, "proxy-address", "/run/other.sock");
}

TEST_F(Doctor, ConfigurationsOfThePlugin) {
  host_.Write("/etc/eagle/plugin.yaml", "listen: [\n");
  Expect(Verdict::kFail, "plugin-config", "plugin.yaml:");
  host_.Remove("/etc/eagle/plugin.yaml");
  Expect(Verdict::kWarn, "plugin-config", "is not there");
}

TEST_F(Doctor, APluginThatIsGone) {
  host_.Remove("/usr/local/bin/eagle-plugin");
  Expect(Verdict::kFail, "plugin-program", "not there");
  host_.Remove(kDropIn);
  Expect(Verdict::kWarn, "plugin-program", "not there");
}

TEST_F(Doctor, UnitsThatAreMissing) {
  host_.Remove("/etc/systemd/system/eagle-fallback.service");
  host_.Remove("/etc/eagle/guard.sh");
  Expect(Verdict::kWarn, "units", "eagle-fallback.service /etc/eagle/guard.sh");
}

TEST_F(Doctor, AContentRootThatOthersMayWrite) {
  ::chmod((host_.At(kStore) + "/blobs").c_str(), 0777);
  Expect(Verdict::kFail, "permissions", "0777");
}

TEST_F(Doctor, FilesInTheStoreThatAreNoBlobs) {
  host_.Write(std::string(kStore) + "/blobs/sha256/notes.txt", "");
  Expect(Verdict::kWarn, "layout", "sha256/notes.txt");
}

TEST_F(Doctor, AContentRootThatIsNotTheBuiltInOnes) {
  host_.Write("/etc/eagle/plugin.yaml", "root: /data/content\n");
  Expect(Verdict::kWarn, "content-root", "/data/content");
}

TEST_F(Doctor, ACacheOnAnotherMount) {
  // /proc is one everywhere; nothing is written to it.
  std::filesystem::create_directory_symlink("/proc", host_.At("/cache"));
  host_.Write("/etc/eagle/plugin.yaml", "cache_dir: /cache/self\n");
  Expect(Verdict::kWarn, "one-mount", "two mounts");
}

TEST_F(Doctor, NothingThatRuns) {
  host_.Write("/etc/eagle/sidecar.yaml",
              "seeders: ['127.0.0.1:1']\ntrackers: ['http://127.0.0.1:1/announce']\n"
              "cache_dir: /elsewhere\n");
  const Report report = Run(/*offline=*/false);
  EXPECT_EQ(Of(report, "plugin-socket").verdict, Verdict::kFail);
  EXPECT_EQ(Of(report, "sidecar").verdict, Verdict::kWarn);
  EXPECT_THAT(Of(report, "seeders").message, HasSubstr("0 of 1 reached; 127.0.0.1:1"));
  EXPECT_EQ(Of(report, "trackers").verdict, Verdict::kWarn);
  EXPECT_THAT(Of(report, "sidecar-config").message, HasSubstr("/elsewhere"));
  EXPECT_EQ(report.exit_code(), 2);
}

TEST_F(Doctor, ItsJsonSaysTheSame) {
  host_.Write(kDropIn, DropIn(3));
  const Report report = Run();
  const auto json = nlohmann::json::parse(report.Json());
  EXPECT_EQ(json["verdict"], "FAIL");
  ASSERT_EQ(json["findings"].size(), report.findings().size());
  const auto& findings = json["findings"];
  const auto line = std::find_if(findings.begin(), findings.end(),
                                 [](const auto& one) { return one["check"] == "drop-in-version"; });
  ASSERT_NE(line, findings.end());
  EXPECT_EQ((*line)["verdict"], "FAIL");
  EXPECT_THAT((*line)["remedy"], HasSubstr("version = 2"));
  EXPECT_THAT(report.Text(), HasSubstr("FAIL  drop-in-version"));
}

TEST_F(Doctor, ChangesNothing) {
  const auto list = [&] {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(host_.root())) {
      struct stat info {};
      ::lstat(entry.path().c_str(), &info);
      all.push_back(entry.path().string() + std::to_string(info.st_mtim.tv_nsec) +
                    std::to_string(info.st_mode));
    }
    std::sort(all.begin(), all.end());
    return all;
  };
  const auto before = list();
  Run();
  EXPECT_EQ(list(), before);
}

TEST(EagleConfig, DefaultsAreThoseOfTheExamples) {
  const auto plugin = LoadPluginSettings(EAGLE_SOURCE_DIR "/plugin/config.example.yaml");
  ASSERT_TRUE(plugin.ok());
  const PluginSettings defaults;
  EXPECT_EQ(plugin->listen, defaults.listen);
  EXPECT_EQ(plugin->containerd_address, defaults.containerd_address);
  EXPECT_EQ(plugin->root, defaults.root);
  EXPECT_EQ(plugin->cache_dir, defaults.cache_dir);
  EXPECT_EQ(plugin->sidecar_address, defaults.sidecar_address);
  EXPECT_EQ(plugin->state_dir, defaults.state_dir);
  const auto sidecar = LoadSidecarSettings(EAGLE_SOURCE_DIR "/sidecar/config.example.yaml");
  ASSERT_TRUE(sidecar.ok());
  EXPECT_EQ(sidecar->cache_dir, SidecarSettings().cache_dir);
  EXPECT_EQ(sidecar->seeders.size(), 2U);
}

}  // namespace
}  // namespace eagle::cli
