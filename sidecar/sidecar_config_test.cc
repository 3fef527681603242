#include "sidecar/sidecar_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"

namespace eagle::sidecar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kAddresses[] = "seeders: [s:1]\ntrackers: []\n";

absl::StatusOr<SidecarConfig> Load(const std::string& text) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/sidecar.yaml";
  EAGLE_RETURN_IF_ERROR(base::WriteFileAtomic(path, text));
  return LoadConfig(path);
}

std::string Problem(const std::string& text) {
  const auto config = Load(text);
  return config.ok() ? "none" : std::string(base::Message(config.status()));
}

void ExpectDefaults(const SidecarConfig& config) {
  const SidecarConfig defaults;
  EXPECT_EQ(config.listen, defaults.listen);
  EXPECT_EQ(config.cache_dir, defaults.cache_dir);
  EXPECT_EQ(config.bittorrent.listen_address, defaults.bittorrent.listen_address);
  EXPECT_EQ(config.bittorrent.port, defaults.bittorrent.port);
  EXPECT_EQ(config.bittorrent.upload_limit, defaults.bittorrent.upload_limit);
  EXPECT_EQ(config.bittorrent.download_limit, defaults.bittorrent.download_limit);
  EXPECT_EQ(config.bittorrent.peer_cidrs, defaults.bittorrent.peer_cidrs);
  EXPECT_EQ(config.cache.limit, defaults.cache.limit);
  EXPECT_EQ(config.cache.min_free, defaults.cache.min_free);
  EXPECT_EQ(config.cache.min_free_percent, defaults.cache.min_free_percent);
  EXPECT_EQ(config.p2p.stall_timeout, defaults.p2p.stall_timeout);
  EXPECT_EQ(config.p2p.max_transfers, defaults.p2p.max_transfers);
  EXPECT_EQ(config.metrics_listen, defaults.metrics_listen);
  EXPECT_EQ(config.log_level, defaults.log_level);
}

TEST(SidecarConfig, MinFreeIsAShareOrASize) {
  const auto min_free = [](const std::string& value) {
    return Load(kAddresses + ("cache: {min_free: " + value + "}\n"));
  };
  EXPECT_EQ(min_free("5%")->cache.min_free_percent, 5);
  EXPECT_EQ(min_free("5%")->cache.min_free.bytes, 0);
  EXPECT_EQ(min_free("2GiB")->cache.min_free, base::GiB(2));
  EXPECT_EQ(min_free("2GiB")->cache.min_free_percent, 0);
  EXPECT_EQ(min_free("0%")->cache.min_free_percent, 0);
  for (const char* wrong : {"100%", "-1%", "%", "5%%", "5 %", "a%", "five", "\"\""}) {
    EXPECT_FALSE(min_free(wrong).ok()) << wrong;
  }
}

TEST(SidecarConfig, TheExampleNamesEverySettingWithItsDefault) {
  const std::string path = EAGLE_SOURCE_DIR "/sidecar/config.example.yaml";
  const auto config = LoadConfig(path);
  ASSERT_TRUE(config.ok()) << config.status();
  ExpectDefaults(*config);
  EXPECT_THAT(config->seeders, ElementsAre("eagle-seeder-0.eagle-seeder:55008",
                                           "eagle-seeder-1.eagle-seeder:55008"));
  EXPECT_EQ(config->trackers.size(), 2U);
  const auto text = base::ReadFile(path);
  ASSERT_TRUE(text.ok());
  for (const char* key :
       {"listen", "cache_dir", "seeders", "trackers", "bittorrent", "listen_address", "port",
        "upload_limit", "download_limit", "peer_cidrs", "cache", "limit", "min_free", "p2p",
        "stall_timeout", "max_transfers", "metrics", "log_level"}) {
    EXPECT_THAT(*text, ::testing::ContainsRegex("(^|\n) *" + std::string(key) + ":"));
  }
}

TEST(SidecarConfig, OnlyAddressesHaveNoDefault) {
  const auto config = Load(kAddresses);
  ASSERT_TRUE(config.ok()) << config.status();
  ExpectDefaults(*config);
  EXPECT_THAT(Problem(""), AllOf(HasSubstr("seeders"), HasSubstr("trackers")));
  EXPECT_THAT(Problem("seeders: []\ntrackers: []\n"), HasSubstr("at least one"));
}

TEST(SidecarConfig, ReadsEverySetting) {
  const auto config = Load(R"(
listen: unix:/tmp/x.sock
cache_dir: /cache
seeders: ["10.0.0.1:55008"]
trackers: ["http://10.0.0.2:6969/announce", "udp://10.0.0.2:6969", "https://t/announce?a=b"]
bittorrent:
  listen_address: 10.0.0.3
  port: 7
  upload_limit: unlimited
  download_limit: 1MiB/s
  peer_cidrs: [10.0.0.0/8]
cache: {limit: 1GiB}
p2p: {stall_timeout: 7s, max_transfers: 3}
metrics: {listen: ""}
log_level: debug
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen, "unix:/tmp/x.sock");
  EXPECT_EQ(config->cache_dir, "/cache");
  EXPECT_EQ(config->trackers.size(), 3U);
  EXPECT_EQ(config->bittorrent.listen_address, "10.0.0.3");
  EXPECT_EQ(config->bittorrent.port, 7);
  EXPECT_TRUE(config->bittorrent.upload_limit.unlimited());
  EXPECT_EQ(config->bittorrent.download_limit.bytes_per_second, 1 << 20);
  EXPECT_THAT(config->bittorrent.peer_cidrs, ElementsAre("10.0.0.0/8"));
  EXPECT_EQ(config->cache.limit, base::GiB(1));
  EXPECT_EQ(config->p2p.stall_timeout, std::chrono::seconds(7));
  EXPECT_EQ(config->p2p.max_transfers, 3);
  EXPECT_EQ(config->metrics_listen, "");
  EXPECT_EQ(config->log_level, "debug");
}

TEST(SidecarConfig, NamesEveryProblemAtOnce) {
  const std::string problem = Problem(R"(
listen: 0.0.0.0:80
cache_dir: relative
seeders: [nowhere]
trackers: ["http://t:1/other"]
bittorrent:
  listen_address: host
  peer_cidrs: [10.0.0.0]
cache: {limit: 0}
p2p: {stall_timeout: 0s, max_transfers: 0}
metrics: {listen: x}
log_level: loud
unknown: 1
)");
  for (const char* key :
       {"listen: must be unix:", "cache_dir", "nowhere", "other", "listen_address", "10.0.0.0",
        "limit", "stall_timeout", "max_transfers", "metrics", "log_level", "unknown"}) {
    EXPECT_THAT(problem, HasSubstr(key));
  }
}

}  // namespace
}  // namespace eagle::sidecar
