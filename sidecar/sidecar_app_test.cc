#include "sidecar/sidecar_app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "lib/base/rendezvous.h"
#include "lib/testing/black_hole.h"
#include "lib/testing/fake_tracker.h"
#include "sidecar/sidecar_cluster.h"

namespace eagle::sidecar {
namespace {

using ::testing::Contains;
using testing::FakeTracker;
using ::testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;

/// A sidecar and the plugin's connection to it.
struct NodeUnderTest {
  NodeUnderTest(const std::string& address, std::vector<std::string> seeders,
                std::vector<std::string> trackers = {}) {
    config.listen = "unix:" + dir.path() + "/run/node.sock";
    config.cache_dir = dir.path() + "/cache";
    config.seeders = std::move(seeders);
    config.trackers = std::move(trackers);
    config.bittorrent.listen_address = address;
    config.bittorrent.port = 0;
    config.bittorrent.upload_limit = {};
    config.bittorrent.download_limit = {};
    config.cache.limit = base::GiB(1);
    config.cache.min_free_percent = 0;
    config.metrics_listen = "127.0.0.1:0";
  }
  void Start() {
    auto started = SidecarApp::Start(config);
    ASSERT_TRUE(started.ok()) << started.status();
    app = std::move(*started);
    client = std::make_unique<NodeClient>(config.listen);
  }
  [[nodiscard]] std::string Path(const TestLayer& layer) const {
    return config.cache_dir + "/blobs/" + layer.digest.hex();
  }
  [[nodiscard]] std::string Get(const std::string& path) const {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket(io);
    socket.connect({boost::asio::ip::address_v4::loopback(), app->metrics_port()});
    boost::asio::write(socket, boost::asio::buffer("GET " + path +
                                                   " HTTP/1.1\r\nHost: x\r\n"
                                                   "Connection: close\r\n\r\n"));
    std::string answer;
    boost::system::error_code end;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), end);
    return answer;
  }

  testing::TempDir dir;
  SidecarConfig config;
  std::unique_ptr<SidecarApp> app;
  std::unique_ptr<NodeClient> client;
};

/// A layer whose first seeder, of these two, is the one of index `first`.
TestLayer LayerOwnedBy(std::size_t first, const std::vector<std::string>& seeders,
                       std::size_t size) {
  for (std::uint32_t seed = 1;; ++seed) {
    TestLayer layer = RandomLayer(size, seed);
    if (base::RendezvousOrder(layer.digest.str(), seeders)[0] == first) return layer;
  }
}

TEST(SidecarApp, TwoNodesGetALayerFromTheSeederAndFromEachOther) {
  FakeTracker tracker;
  TestSeeder seeder("127.0.0.20", {tracker.url()});
  const TestLayer layer = RandomLayer(16 * kMiB, 1);
  seeder.Add(layer);
  NodeUnderTest first("127.0.0.21", {seeder.target()}, {tracker.url()});
  NodeUnderTest second("127.0.0.22", {seeder.target()}, {tracker.url()});
  first.Start();
  second.Start();
  const auto one = first.client->Fetch(layer.wanted);
  ASSERT_TRUE(one.done()) << one.Explain();
  EXPECT_EQ(one.last().done().file_name(), layer.digest.hex());
  EXPECT_EQ(one.last().done().bytes_from_seeders(), 16 * kMiB);
  const auto two = second.client->Fetch(layer.wanted);
  ASSERT_TRUE(two.done()) << two.Explain();
  const auto& done = two.last().done();
  EXPECT_GE(done.bytes_from_peers() + done.bytes_from_seeders(), 16 * kMiB);
  EXPECT_GT(done.bytes_from_peers(), 0);
  for (NodeUnderTest* node : {&first, &second}) {
    EXPECT_EQ(Contents(node->Path(layer)), layer.data);
    struct stat found {};
    ASSERT_EQ(::stat(node->Path(layer).c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0444U);
    EXPECT_TRUE(node->client->Fetch(layer.wanted).done());
  }
  // The counters have it by the time of the answer.
  EXPECT_THAT(first.Get("/metrics"),
              HasSubstr("eagle_sidecar_received_bytes_total{source=\"seeders\"} 16777216\n"));
  EXPECT_THAT(second.Get("/metrics"),
              HasSubstr("eagle_sidecar_received_bytes_total{source=\"peers\"} " +
                        std::to_string(done.bytes_from_peers()) + "\n"));
  EXPECT_THAT(first.Get("/readyz"), HasSubstr("HTTP/1.1 200"));
}

TEST(SidecarApp, TwoFetchesOfOneLayerMoveItsBytesOnce) {
  TestSeeder seeder("127.0.0.20");
  const TestLayer layer = RandomLayer(16 * kMiB, 2);
  seeder.Add(layer);
  NodeUnderTest node("127.0.0.21", {seeder.target()});
  node.Start();
  NodeClient::Result first;
  std::thread other([&] { first = NodeClient(node.config.listen).Fetch(layer.wanted); });
  const auto second = node.client->Fetch(layer.wanted);
  other.join();
  EXPECT_TRUE(first.done()) << first.Explain();
  EXPECT_TRUE(second.done()) << second.Explain();
  EXPECT_EQ(seeder.session->Totals().payload_uploaded_bytes, 16 * kMiB);
  EXPECT_EQ(seeder.questions, 1);
}

TEST(SidecarApp, ADeadFirstSeederCostsMilliseconds) {
  TestSeeder seeder("127.0.0.20");
  // Nothing listens on the discard port here.
  const std::vector<std::string> seeders = {"127.0.0.1:9", seeder.target()};
  const TestLayer layer = LayerOwnedBy(0, seeders, kMiB);
  seeder.Add(layer);
  NodeUnderTest node("127.0.0.21", seeders);
  node.Start();
  const auto result = node.client->Fetch(layer.wanted);
  EXPECT_TRUE(result.done()) << result.Explain();
  EXPECT_LT(result.seconds, 0.8);
}

TEST(SidecarApp, ABlackHoleOfASeederCostsASecond) {
  const testing::BlackHole hole;
  TestSeeder seeder("127.0.0.20");
  const std::vector<std::string> seeders = {hole.target(), seeder.target()};
  const TestLayer layer = LayerOwnedBy(0, seeders, kMiB);
  seeder.Add(layer);
  NodeUnderTest node("127.0.0.21", seeders);
  node.Start();
  const auto result = node.client->Fetch(layer.wanted);
  EXPECT_TRUE(result.done()) << result.Explain();
  EXPECT_LT(result.seconds, 2.0);
}

TEST(SidecarApp, WithoutAnySeederItFailsAtOnce) {
  NodeUnderTest node("127.0.0.21", {"127.0.0.1:9"});
  node.Start();
  const auto result = node.client->Fetch(RandomLayer(kMiB, 3).wanted);
  ASSERT_FALSE(result.events.empty()) << result.Explain();
  EXPECT_EQ(result.last().failed().reason(), node::v1::Failed::NO_SEEDER);
  EXPECT_TRUE(result.status.ok());
  EXPECT_LT(result.seconds, 0.5);
}

TEST(SidecarApp, ARestartedNodeSeedsWhatItHas) {
  FakeTracker tracker;
  TestSeeder seeder("127.0.0.20", {tracker.url()});
  const TestLayer layer = RandomLayer(4 * kMiB, 4);
  seeder.Add(layer);
  NodeUnderTest first("127.0.0.21", {seeder.target()}, {tracker.url()});
  first.Start();
  ASSERT_TRUE(first.client->Fetch(layer.wanted).done());
  seeder.session.reset();
  first.app.reset();
  // The plugin has taken the inode meanwhile.
  const std::string committed = first.dir.path() + "/committed";
  ASSERT_EQ(::link(first.Path(layer).c_str(), committed.c_str()), 0);

  first.Start();
  const auto again = first.client->Fetch(layer.wanted);
  ASSERT_TRUE(again.done());
  EXPECT_EQ(again.last().done().bytes_from_seeders(), 0);
  NodeUnderTest second("127.0.0.22", {seeder.target()}, {tracker.url()});
  second.Start();
  const auto result = second.client->Fetch(layer.wanted);
  ASSERT_TRUE(result.done()) << result.Explain();
  EXPECT_EQ(result.last().done().bytes_from_peers(), 4 * kMiB);
  EXPECT_EQ(Contents(second.Path(layer)), layer.data);
}

TEST(SidecarApp, DiscardDropsALayerAndTheNextFetchBringsItAnew) {
  TestSeeder seeder("127.0.0.20");
  const TestLayer layer = RandomLayer(2 * kMiB, 5);
  seeder.Add(layer);
  NodeUnderTest node("127.0.0.21", {seeder.target()});
  node.Start();
  ASSERT_TRUE(node.client->Fetch(layer.wanted).done());
  const std::string committed = node.dir.path() + "/committed";
  ASSERT_EQ(::link(node.Path(layer).c_str(), committed.c_str()), 0);
  ASSERT_TRUE(node.client->Discard(layer.digest.str()).ok());
  EXPECT_NE(::access(node.Path(layer).c_str(), F_OK), 0);
  EXPECT_EQ(node.client->Status().cached_layers(), 0);
  const auto result = node.client->Fetch(layer.wanted);
  ASSERT_TRUE(result.done()) << result.Explain();
  EXPECT_EQ(result.last().done().bytes_from_seeders(), 2 * kMiB);
  // Another inode: what was committed before is not touched.
  struct stat old {};
  struct stat fresh {};
  ASSERT_EQ(::stat(committed.c_str(), &old), 0);
  ASSERT_EQ(::stat(node.Path(layer).c_str(), &fresh), 0);
  EXPECT_NE(old.st_ino, fresh.st_ino);
}

TEST(SidecarApp, PrefetchBringsLayersThatNobodyWaitsFor) {
  TestSeeder seeder("127.0.0.20");
  std::vector<TestLayer> layers;
  std::vector<WantedLayer> wanted;
  for (std::uint32_t i = 0; i < 4; ++i) {
    layers.push_back(RandomLayer(kMiB, 60 + i));
    wanted.push_back(layers.back().wanted);
    seeder.Add(layers.back());
  }
  NodeUnderTest node("127.0.0.21", {seeder.target()});
  node.config.p2p.max_transfers = 1;
  node.Start();
  ASSERT_TRUE(node.client->Prefetch(wanted).ok());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto arrived = [&] {
    return node.client->Status().cached_layers() == 4 && node.client->Status().transfers().empty();
  };
  while (!arrived() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (const TestLayer& layer : layers) EXPECT_EQ(Contents(node.Path(layer)), layer.data);
  EXPECT_EQ(node.client->Status().cache_bytes(), 4 * kMiB);
}

TEST(SidecarApp, ReportsProgressOnTheWireAndCancelsOnRequest) {
  TestSeeder seeder("127.0.0.20");
  const TestLayer layer = RandomLayer(16 * kMiB, 7);
  seeder.Add(layer);
  NodeUnderTest node("127.0.0.21", {seeder.target()});
  node.config.bittorrent.download_limit = {4 * kMiB};
  node.Start();
  int reports = 0;
  const auto result = node.client->Fetch(layer.wanted, [&](const node::v1::FetchEvent& event) {
    return event.has_progress() && ++reports == 8;
  });
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_LT(result.seconds, 8 * 0.25);
  const auto status = node.client->Status();
  ASSERT_EQ(status.transfers_size(), 1);
  EXPECT_EQ(status.transfers(0).digest(), layer.digest.str());
  EXPECT_EQ(status.transfers(0).progress().stage(), node::v1::Progress::SWARM);
  // The grace goes by, the transfer ends, what has come stays and is used.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!node.client->Status().transfers().empty() &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const auto again = node.client->Fetch(layer.wanted);
  ASSERT_TRUE(again.done()) << again.Explain();
  EXPECT_LT(seeder.session->Totals().payload_uploaded_bytes, 18 * kMiB);
  EXPECT_EQ(Contents(node.Path(layer)), layer.data);
}

TEST(SidecarApp, RefusesRequestsThatMakeNoSense) {
  NodeUnderTest node("127.0.0.21", {"127.0.0.1:9"});
  node.Start();
  WantedLayer layer = RandomLayer(kMiB, 8).wanted;
  layer.size_bytes = 0;
  EXPECT_EQ(node.client->Fetch(layer).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(node.client->Prefetch({layer}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  layer.size_bytes = 1;
  layer.sources.assign(1, {"", "x"});
  EXPECT_EQ(node.client->Fetch(layer).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  layer.sources.assign(1000, {"r", "x"});
  EXPECT_EQ(node.client->Fetch(layer).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  for (const char* digest : {"", "sha256:12", "../../etc/passwd"}) {
    EXPECT_EQ(node.client->Discard(digest).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST(SidecarApp, ItsSocketIsForOwnerAndGroup) {
  NodeUnderTest node("127.0.0.21", {"127.0.0.1:9"});
  node.Start();
  struct stat found {};
  ASSERT_EQ(::stat((node.dir.path() + "/run/node.sock").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0660U);
}

TEST(SidecarApp, ACacheInUseIsAnErrorThatSaysSo) {
  NodeUnderTest node("127.0.0.21", {"127.0.0.1:9"});
  node.Start();
  SidecarConfig config = node.config;
  config.bittorrent.listen_address = "127.0.0.22";
  config.listen += "2";
  EXPECT_THAT(std::string(base::Message(SidecarApp::Start(config).status())), HasSubstr("in use"));
}

TEST(SidecarApp, EndingItTellsThoseWhoWait) {
  TestSeeder seeder("127.0.0.20");
  const TestLayer layer = RandomLayer(16 * kMiB, 9);
  seeder.Add(layer);
  NodeUnderTest node("127.0.0.21", {seeder.target()});
  node.config.bittorrent.download_limit = {2 * kMiB};
  node.Start();
  std::thread ending;
  const auto result = node.client->Fetch(layer.wanted, [&](const node::v1::FetchEvent& event) {
    if (!ending.joinable() && event.progress().bytes_done() > 0) {
      ending = std::thread([&] { node.app.reset(); });
    }
    return false;
  });
  ending.join();
  ASSERT_FALSE(result.events.empty()) << result.Explain();
  EXPECT_EQ(result.last().failed().reason(), node::v1::Failed::SHUTTING_DOWN);
}

}  // namespace
}  // namespace eagle::sidecar
