#include "plugin/plugin_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "lib/testing/temp_dir.h"

namespace eagle::plugin {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<PluginConfig> Load(const std::string& yaml) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/plugin.yaml";
  std::ofstream(path) << yaml;
  return LoadConfig(path);
}

TEST(PluginConfig, TheExampleDocumentsTheDefaults) {
  const auto example = LoadConfig(EAGLE_SOURCE_DIR "/plugin/config.example.yaml");
  ASSERT_TRUE(example.ok()) << example.status();
  const PluginConfig defaults;
  EXPECT_EQ(example->listen, defaults.listen);
  EXPECT_EQ(example->containerd_address, defaults.containerd_address);
  EXPECT_EQ(example->root, defaults.root);
  EXPECT_EQ(example->cache_dir, defaults.cache_dir);
  EXPECT_EQ(example->sidecar_address, defaults.sidecar_address);
  EXPECT_EQ(example->state_dir, defaults.state_dir);
  EXPECT_EQ(example->p2p.enabled, defaults.p2p.enabled);
  EXPECT_EQ(example->p2p.min_size, defaults.p2p.min_size);
  EXPECT_EQ(example->p2p.stall_timeout, defaults.p2p.stall_timeout);
  EXPECT_EQ(example->p2p.budget, defaults.p2p.budget);
  EXPECT_EQ(example->p2p.sidecar_timeout, defaults.p2p.sidecar_timeout);
  EXPECT_EQ(example->p2p.min_rate, defaults.p2p.min_rate);
  EXPECT_EQ(example->p2p.allow, defaults.p2p.allow);
  EXPECT_EQ(example->p2p.deny, defaults.p2p.deny);
  EXPECT_EQ(example->metrics_listen, defaults.metrics_listen);
  EXPECT_EQ(example->log_level, defaults.log_level);
}

TEST(PluginConfig, AnEmptyFileIsAllDefaults) {
  const auto config = Load("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->p2p.budget, PluginConfig().p2p.budget);
}

TEST(PluginConfig, ReadsEveryKey) {
  const auto config = Load(
      "listen: unix:/a\ncontainerd_address: unix:/b\nroot: /r\ncache_dir: \"\"\n"
      "sidecar_address: unix:/s\nstate_dir: /v\nmetrics: {listen: \"\"}\nlog_level: debug\n"
      "p2p: {enabled: false, min_size: 2MiB, stall_timeout: 1s, budget: 2s, sidecar_timeout: 3s,\n"
      "      allow: [a], deny: [b]}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen, "unix:/a");
  EXPECT_EQ(config->cache_dir, "");
  EXPECT_EQ(config->state_dir, "/v");
  EXPECT_EQ(config->metrics_listen, "");
  EXPECT_FALSE(config->p2p.enabled);
  EXPECT_EQ(config->p2p.min_size, base::MiB(2));
  EXPECT_EQ(config->p2p.sidecar_timeout.count(), 3000);
  EXPECT_EQ(config->p2p.deny, std::vector<std::string>{"b"});
}

TEST(PluginConfig, ReportsEveryProblem) {
  const auto config = Load(
      "listen: 0.0.0.0:80\nroot: relative\ncache_dir: also\nmetrics: {listen: here}\n"
      "log_level: loud\np2p: {budget: 0s, allow: ['(']}\nunknown: 1\n");
  const std::string text(base::Message(config.status()));
  for (const char* problem : {"listen: must be unix:/", "root: must be an absolute path",
                              "cache_dir: must be", "metrics.listen: must be", "log_level",
                              "p2p.budget: must be longer", "p2p.allow", "unknown"}) {
    EXPECT_THAT(text, HasSubstr(problem));
  }
}

}  // namespace
}  // namespace eagle::plugin
