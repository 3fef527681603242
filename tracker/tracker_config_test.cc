#include "tracker/tracker_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<TrackerConfig> Load(const std::string& text) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/tracker.yaml";
  EAGLE_RETURN_IF_ERROR(base::WriteFileAtomic(path, text));
  return LoadConfig(path);
}

std::string Problem(const std::string& text) {
  const auto config = Load(text);
  return config.ok() ? "none" : std::string(base::Message(config.status()));
}

void ExpectDefaults(const TrackerConfig& config) {
  const TrackerConfig defaults;
  EXPECT_EQ(config.listen, defaults.listen);
  EXPECT_EQ(config.announce.min_interval, defaults.announce.min_interval);
  EXPECT_EQ(config.announce.max_interval, defaults.announce.max_interval);
  EXPECT_EQ(config.announce.peer_timeout, defaults.announce.peer_timeout);
  EXPECT_EQ(config.announce.default_peers, defaults.announce.default_peers);
  EXPECT_EQ(config.announce.max_peers, defaults.announce.max_peers);
  EXPECT_EQ(config.limits.swarms, defaults.limits.swarms);
  EXPECT_EQ(config.limits.peers_per_swarm, defaults.limits.peers_per_swarm);
  EXPECT_EQ(config.limits.peers, defaults.limits.peers);
  EXPECT_EQ(config.limits.connections, defaults.limits.connections);
  EXPECT_EQ(config.limits.request_size, defaults.limits.request_size);
  EXPECT_EQ(config.policy, defaults.policy);
  EXPECT_EQ(config.trusted_cidrs, defaults.trusted_cidrs);
  EXPECT_EQ(config.threads, defaults.threads);
  EXPECT_EQ(config.metrics_listen, defaults.metrics_listen);
  EXPECT_EQ(config.log_level, defaults.log_level);
}

TEST(TrackerConfig, TheExampleNamesEverySettingWithItsDefault) {
  const auto config = LoadConfig(EAGLE_SOURCE_DIR "/tracker/config.example.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  ExpectDefaults(*config);
  const auto text = base::ReadFile(EAGLE_SOURCE_DIR "/tracker/config.example.yaml");
  ASSERT_TRUE(text.ok());
  for (const char* key :
       {"listen", "min_interval", "max_interval", "peer_timeout", "default_peers", "max_peers",
        "swarms", "peers_per_swarm", "peers", "connections", "request_size", "policy",
        "trusted_cidrs", "threads", "metrics", "log_level"}) {
    EXPECT_THAT(*text, ::testing::ContainsRegex("(^|\n) *" + std::string(key) + ":"));
  }
}

TEST(TrackerConfig, AnEmptyFileMeansTheDefaults) {
  const auto config = Load("");
  ASSERT_TRUE(config.ok()) << config.status();
  ExpectDefaults(*config);
}

TEST(TrackerConfig, ReadsEverySetting) {
  const auto config = Load(
      "listen: '[::]:1'\n"
      "announce: {min_interval: 2s, max_interval: 1m, peer_timeout: 3m, default_peers: 3,"
      " max_peers: 4}\n"
      "limits: {swarms: 5, peers_per_swarm: 6, peers: 7, connections: 8, request_size: 2KiB}\n"
      "policy: random\ntrusted_cidrs: [10.0.0.0/8, 'fd00::/8']\nthreads: 9\n"
      "metrics: {listen: '127.0.0.1:2'}\nlog_level: debug\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen, "[::]:1");
  EXPECT_EQ(config->announce.min_interval, std::chrono::seconds(2));
  EXPECT_EQ(config->announce.max_interval, std::chrono::minutes(1));
  EXPECT_EQ(config->announce.peer_timeout, std::chrono::minutes(3));
  EXPECT_EQ(config->announce.default_peers, 3);
  EXPECT_EQ(config->announce.max_peers, 4);
  EXPECT_EQ(config->limits.swarms, 5);
  EXPECT_EQ(config->limits.peers_per_swarm, 6);
  EXPECT_EQ(config->limits.peers, 7);
  EXPECT_EQ(config->limits.connections, 8);
  EXPECT_EQ(config->limits.request_size, base::KiB(2));
  EXPECT_EQ(config->trusted_cidrs.size(), 2U);
  EXPECT_EQ(config->threads, 9);
  EXPECT_EQ(config->metrics_listen, "127.0.0.1:2");
  EXPECT_EQ(config->log_level, "debug");
}

TEST(TrackerConfig, SaysWhatIsWrong) {
  EXPECT_THAT(Problem("listen: tracker.example.com:6969"), HasSubstr("must be an IP address"));
  EXPECT_THAT(Problem("listen: 6969"), HasSubstr("listen:"));
  EXPECT_THAT(Problem("announce: {min_interval: 100ms}"), HasSubstr("at least 1s"));
  EXPECT_THAT(Problem("announce: {max_interval: 1s}"), HasSubstr("less than min_interval"));
  EXPECT_THAT(Problem("announce: {peer_timeout: 6m}"), HasSubstr("twice max_interval"));
  EXPECT_THAT(Problem("announce: {default_peers: 201}"), HasSubstr("more than max_peers"));
  EXPECT_THAT(Problem("limits: {request_size: 1}"), HasSubstr("from 1KiB to 1MiB"));
  EXPECT_THAT(Problem("limits: {swarms: 0}"), HasSubstr("limits.swarms"));
  EXPECT_THAT(Problem("policy: nearest"), HasSubstr("must be one of random"));
  EXPECT_THAT(Problem("trusted_cidrs: [10.0.0.1/8]"), HasSubstr("bits set behind its prefix"));
  EXPECT_THAT(Problem("threads: -1"), HasSubstr("threads"));
  EXPECT_THAT(Problem("metrics: {listen: here}"), HasSubstr("metrics.listen"));
  EXPECT_THAT(Problem("log_level: loud"), HasSubstr("log_level"));
  EXPECT_THAT(Problem("port: 1"), HasSubstr("unknown key"));
}

TEST(TrackerConfig, ReportsAllProblemsAtOnceWithTheirLines) {
  const std::string problem = Problem("threads: x\npolicy: y\nlimits:\n  swarm: 3\n");
  EXPECT_THAT(problem, HasSubstr("tracker.yaml:1:10: threads"));
  EXPECT_THAT(problem, HasSubstr("tracker.yaml:2:9: policy"));
  EXPECT_THAT(problem, HasSubstr("tracker.yaml:4:3: limits.swarm"));
}

TEST(TrackerConfig, AMissingFileIsAnError) {
  EXPECT_FALSE(LoadConfig("/nonexistent/tracker.yaml").ok());
}

}  // namespace
}  // namespace eagle::tracker
