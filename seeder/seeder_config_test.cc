#include "seeder/seeder_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"

namespace eagle::seeder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SeederConfigTest : public ::testing::Test {
 protected:
  absl::StatusOr<SeederConfig> Load(const std::string& text) {
    const std::string path = dir_.path() + "/config.yaml";
    EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
    return LoadConfig(path);
  }
  std::string ErrorOf(const std::string& text) {
    const auto config = Load(text);
    EXPECT_TRUE(absl::IsInvalidArgument(config.status())) << text;
    return std::string(base::Message(config.status()));
  }

  const std::string trackers_ = "trackers: [\"http://t:6969/announce\"]\n";
  testing::TempDir dir_;
};

TEST_F(SeederConfigTest, TheExampleShowsTheDefaults) {
  const auto example = LoadConfig(EAGLE_SOURCE_DIR "/seeder/config.example.yaml");
  ASSERT_TRUE(example.ok()) << example.status();
  const SeederConfig defaults;
  EXPECT_EQ(example->listen, defaults.listen);
  EXPECT_EQ(example->admin_listen, defaults.admin_listen);
  EXPECT_EQ(example->data_dir, defaults.data_dir);
  EXPECT_EQ(example->bittorrent.listen_address, defaults.bittorrent.listen_address);
  EXPECT_EQ(example->bittorrent.port, defaults.bittorrent.port);
  EXPECT_EQ(example->bittorrent.announce_address, defaults.bittorrent.announce_address);
  EXPECT_EQ(example->bittorrent.upload_limit, defaults.bittorrent.upload_limit);
  EXPECT_EQ(example->bittorrent.download_limit, defaults.bittorrent.download_limit);
  EXPECT_EQ(example->bittorrent.peer_cidrs, defaults.bittorrent.peer_cidrs);
  EXPECT_EQ(example->storage.limit, defaults.storage.limit);
  EXPECT_EQ(example->storage.max_layer_size, defaults.storage.max_layer_size);
  EXPECT_EQ(example->storage.backend.name, defaults.storage.backend.name);
  EXPECT_EQ(example->storage.backend.options, defaults.storage.backend.options);
  EXPECT_EQ(example->allow_unlisted_origins, defaults.allow_unlisted_origins);
  EXPECT_EQ(example->docker_config, defaults.docker_config);
  EXPECT_EQ(example->origin.connect_timeout, defaults.origin.connect_timeout);
  EXPECT_EQ(example->origin.stall_timeout, defaults.origin.stall_timeout);
  EXPECT_EQ(example->origin.attempts, defaults.origin.attempts);
  EXPECT_EQ(example->preheat.platforms, defaults.preheat.platforms);
  EXPECT_EQ(example->preheat.queue, defaults.preheat.queue);
  EXPECT_EQ(example->notifications.listen, defaults.notifications.listen);
  EXPECT_EQ(example->notifications.secret_file, defaults.notifications.secret_file);
  EXPECT_EQ(example->notifications.username, defaults.notifications.username);
  EXPECT_EQ(example->notifications.password_file, defaults.notifications.password_file);
  EXPECT_EQ(example->metrics_listen, defaults.metrics_listen);
  EXPECT_EQ(example->log_level, defaults.log_level);
  EXPECT_EQ(example->seeders.size(), 2u);
  EXPECT_EQ(example->trackers.size(), 2u);
  ASSERT_EQ(example->origins.count("registry.lab"), 1u);
  EXPECT_EQ(example->origins.at("registry.lab").endpoint.str(), "http://registry.lab:5000/");
  EXPECT_THAT(example->origins.at("registry.lab").redirect_hosts, ElementsAre("*"));
  const registry::Origin& shown = example->origins.at("registry.example.com");
  const registry::Origin usual;
  EXPECT_EQ(shown.max_connections, usual.max_connections);
  EXPECT_EQ(shown.connections_per_layer, usual.connections_per_layer);
  EXPECT_EQ(shown.rate_limit, usual.rate_limit);
}

TEST_F(SeederConfigTest, AnOriginHasCredentialsMirrorsAndLimits) {
  const auto config = Load(trackers_ + R"(docker_config: /etc/docker.json
origins:
  r.example:
    mirrors: ["https://m1.example", "http://m2.example:5000"]
    token_hosts: [auth.example]
    credentials:
      username: u
      password_file: /etc/password
    tls:
      ca_file: /etc/ca.pem
      certificate_file: /etc/cert.pem
      key_file: /etc/key.pem
    max_connections: 3
    rate_limit: 10MiB/s
    connections_per_layer: 1
)");
  ASSERT_TRUE(config.ok()) << config.status();
  const registry::Origin& origin = config->origins.at("r.example");
  ASSERT_EQ(origin.mirrors.size(), 2u);
  EXPECT_EQ(origin.mirrors[1].str(), "http://m2.example:5000/");
  EXPECT_THAT(origin.token_hosts, ElementsAre("auth.example"));
  EXPECT_TRUE(origin.redirect_hosts.empty());
  EXPECT_EQ(origin.credentials.username, "u");
  EXPECT_EQ(origin.credentials.password_file, "/etc/password");
  EXPECT_EQ(origin.tls.ca_file, "/etc/ca.pem");
  EXPECT_EQ(origin.tls.key_file, "/etc/key.pem");
  EXPECT_EQ(origin.max_connections, 3);
  EXPECT_EQ(origin.rate_limit.bytes_per_second, 10 << 20);
  EXPECT_EQ(origin.connections_per_layer, 1);
  EXPECT_EQ(config->docker_config, "/etc/docker.json");
}

TEST_F(SeederConfigTest, AStorageBackEndHasOptionsOfItsOwn) {
  const auto config = Load(trackers_ + R"(storage:
  backend:
    name: s3
    options: {bucket: layers, path_style: true}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->storage.backend.name, "s3");
  EXPECT_EQ(config->storage.backend.options.at("bucket"), "layers");
  EXPECT_EQ(config->storage.backend.options.at("path_style"), "true");
}

TEST_F(SeederConfigTest, DockerHubKeepsWhatIsKnownOfIt) {
  const auto config = Load(trackers_ + "origins:\n  docker.io:\n    max_connections: 4\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const registry::Origin& origin = config->origins.at("docker.io");
  EXPECT_EQ(origin.endpoint.str(), "https://registry-1.docker.io/");
  EXPECT_THAT(origin.redirect_hosts, ElementsAre("*"));
  EXPECT_THAT(origin.token_hosts, ElementsAre("auth.docker.io"));
}

TEST_F(SeederConfigTest, TrackersAreAllThatIsNeeded) {
  const auto config = Load(trackers_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen, SeederConfig().listen);
  EXPECT_THAT(ErrorOf(""), HasSubstr("trackers: give the announce URL"));
}

TEST_F(SeederConfigTest, OperatorsMayComeOverAUnixSocketOrTcp) {
  for (const std::string address : {"unix:/run/eagle/admin.sock", "127.0.0.1:55009"}) {
    const auto config = Load(trackers_ + "admin_listen: " + address + "\n");
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->admin_listen, address);
  }
}

TEST_F(SeederConfigTest, ARegistryMayHaveNoSettings) {
  const auto config = Load(trackers_ + "origins:\n  Quay.IO:\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->origins.at("quay.io").endpoint.str(), "https://quay.io/");
}

TEST_F(SeederConfigTest, ReportsEveryProblem) {
  const std::string error = ErrorOf(R"(listen: nowhere
admin_listen: nowhere
data_dir: relative
seeders: ["a:1", "b"]
self: "c:1"
trackers: ["file:///x"]
bittorrent:
  listen_address: eth0
  announce_address: myhost
  port: 0
storage:
  limit: 0B
  backend: {name: tape}
origins:
  "r:5000":
    endpoint: http://r:5000
  s:
    endpoint: ftp://s
  t:
    endpoint: http://t/path
    redirect_hosts: ["a b"]
    token_hosts: ["*"]
    mirrors: ["mirror"]
    credentials: {username: "u:v", docker_config: relative}
    tls: {certificate_file: /x}
    connections_per_layer: 0
origin:
  attempts: 0
  stall_timeout: 0s
log_level: loud
unknown: 1
)");
  for (const char* part : {"t.yaml:1:9: listen:",
                           "admin_listen:",
                           "data_dir: must be an absolute path",
                           "seeders:",
                           "self: must be one",
                           "trackers: \"file:///x\"",
                           "bittorrent.listen_address:",
                           "bittorrent.announce_address:",
                           "bittorrent.port:",
                           "storage.limit: must be more than 0",
                           "storage.backend.name: must be fs, s3",
                           "origins.r:5000",
                           "origins.s.endpoint:",
                           "origins.t.endpoint: must be scheme, host and port",
                           "origins.t.redirect_hosts: \"a b\"",
                           "origins.t.token_hosts: \"*\"",
                           "origins.t.mirrors:",
                           "credentials.username: must not",
                           "credentials.username: username and",
                           "credentials.docker_config: must be an absolute",
                           "tls.certificate_file: certificate_file and",
                           "origins.t.connections_per_layer:",
                           "origin.attempts:",
                           "origin.stall_timeout:",
                           "log_level:",
                           "unknown: unknown key"}) {
    const std::string text(part);
    EXPECT_THAT(error,
                HasSubstr(text.starts_with("t.yaml") ? "config.yaml" + text.substr(6) : text));
  }
}

TEST_F(SeederConfigTest, NotificationsNeedASecret) {
  const std::string listen = trackers_ + "notifications:\n  listen: 127.0.0.1:0\n";
  EXPECT_THAT(ErrorOf(listen), HasSubstr("needs a secret_file"));
  EXPECT_THAT(ErrorOf(listen + "  username: u\n"), HasSubstr("belong together"));
  EXPECT_THAT(ErrorOf(listen + "  secret_file: s\n"), HasSubstr("absolute path"));
  EXPECT_TRUE(Load(listen + "  secret_file: /s\n").ok());
  EXPECT_TRUE(Load(listen + "  username: u\n  password_file: /p\n").ok());
}

TEST_F(SeederConfigTest, PreheatKnowsPlatforms) {
  const auto config = Load(trackers_ + "preheat:\n  platforms: [linux/arm/v7]\n  queue: 3\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->preheat.platforms, ElementsAre("linux/arm/v7"));
  EXPECT_EQ(config->preheat.queue, 3);
  EXPECT_THAT(ErrorOf(trackers_ + "preheat:\n  platforms: [amd64]\n"), HasSubstr("a platform is"));
  EXPECT_THAT(ErrorOf(trackers_ + "preheat:\n  platforms: []\n"), HasSubstr("at least one"));
}

}  // namespace
}  // namespace eagle::seeder
