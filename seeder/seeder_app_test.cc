// Two real seeders on loopback, with a registry that does as it is told.
#include "seeder/seeder_app.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <iostream>
#include <set>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/health/health.grpc.pb.h"
#include "lib/base/file.h"
#include "lib/base/rendezvous.h"
#include "lib/registry/fake_registry.h"
#include "lib/rpc/channel.h"
#include "lib/swarm/torrent.h"
#include "lib/testing/own_network.h"
#include "lib/testing/temp_dir.h"
#include "seeder/seeder_app_testing.h"

namespace eagle::seeder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(SeederAppTest, OneGetReachesTheRegistryWhicheverSeederIsAsked) {
  ServeLayers();
  StartAll();
  const std::vector<std::string> layers = {NewLayer(0), NewLayer(0), NewLayer(1), NewLayer(1)};
  std::vector<std::thread> clients;
  for (const std::string& layer : layers) {
    for (int client = 0; client < 6; ++client) {
      clients.emplace_back([this, layer, client] {
        metainfo::MetaInfoProgress last;
        const grpc::Status status = Watch(client % kSeeders, layer, &last);
        EXPECT_TRUE(status.ok()) << status.error_message();
        const auto torrent = swarm::ParseTorrent(last.metainfo());
        ASSERT_TRUE(torrent.ok()) << torrent.status();
        EXPECT_EQ(torrent->digest, base::Digest::Of(layer));
        EXPECT_EQ(last.bytes_fetched(), 1 << 20);
        EXPECT_EQ(last.bytes_total(), 1 << 20);
        EXPECT_EQ(last.peers_size(), 1);
      });
    }
  }
  for (std::thread& client : clients) client.join();
  std::set<std::string> targets;
  for (const auto& request : registry_->requests()) targets.insert(request.target);
  EXPECT_EQ(targets.size(), layers.size());
  EXPECT_EQ(registry_->requests().size(), layers.size());
}

TEST_F(SeederAppTest, TheSeederThatPassedOnBecomesASecondUploader) {
  ServeLayers();
  StartAll();
  const std::string layer = NewLayer(0);
  metainfo::MetaInfoProgress last;
  ASSERT_TRUE(Watch(1, layer, &last).ok());
  EXPECT_THAT(last.peers(), ElementsAre(fmt::format("127.0.0.1:{}", configs_[0].bittorrent.port)));
  ASSERT_TRUE(Eventually([&] { return Stored(1, layer); }));
  EXPECT_EQ(*base::ReadFile(FileOf(1, layer)), layer);
  EXPECT_TRUE(MetricBecomes(1, "eagle_seeder_received_bytes_total 1048576"));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_sent_bytes_total 1048576"));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_origin_bytes_total 1048576"));
  EXPECT_TRUE(MetricBecomes(1, "eagle_seeder_origin_bytes_total 0"));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_stored_bytes 1048576"));
  EXPECT_EQ(registry_->requests().size(), 1u);
}

TEST_F(SeederAppTest, TheOtherFetchesWhenTheOwnerIsDown) {
  ServeLayers();
  StartSeeder(1);
  std::string metainfo;
  const std::string layer = NewLayer(0);
  EXPECT_TRUE(Get(1, RequestFor(layer), &metainfo).ok());
  EXPECT_TRUE(swarm::ParseTorrent(metainfo).ok());
  EXPECT_TRUE(Stored(1, layer));
  EXPECT_EQ(registry_->requests().size(), 1u);
}

TEST_F(SeederAppTest, TheOtherFetchesWhenTheOwnerStopsInMidFetch) {
  std::atomic<int> asked = 0;
  const std::string layer = NewLayer(0);
  Serve([&](const registry::FakeRequest& request) {
    registry::FakeReply reply = registry::FakeReply::Of(layer, request);
    if (++asked == 1) {
      reply.cut_after = 1000;
      reply.hang = true;
    }
    return reply;
  });
  StartAll();
  metainfo::MetaInfoProgress last;
  grpc::Status status;
  std::thread client([&] { status = Watch(1, layer, &last); });
  ASSERT_TRUE(Eventually([&] { return asked == 1; }));
  apps_[0].reset();
  client.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(asked, 2);
  EXPECT_TRUE(Stored(1, layer));
  EXPECT_FALSE(Stored(0, layer));
}

TEST_F(SeederAppTest, WrongBytesAreUnavailableAndNothingIsStored) {
  const std::string layer = NewLayer(0);
  Serve([&](const registry::FakeRequest& request) {
    return registry::FakeReply::Of(std::string(1 << 20, 'X'), request);
  });
  StartAll();
  metainfo::MetaInfoProgress last;
  // Whoever asks next, and wherever, makes no further fetch for a while.
  for (const int seeder : {1, 0, 1}) {
    EXPECT_EQ(Watch(seeder, layer, &last).error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(last.metainfo(), "");
  }
  EXPECT_EQ(registry_->requests().size(), 1u);
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_origin_fetches_total{result=\"wrong_bytes\"} 1"));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_stored_bytes 0"));
  struct stat info {};
  EXPECT_NE(::stat(FileOf(0, layer).c_str(), &info), 0);
}

TEST_F(SeederAppTest, AnswersWithTheCodesOfTheContract) {
  ServeLayers();
  configs_[0].allow_unlisted_origins = false;
  configs_[0].seeders.clear();
  configs_[0].storage.max_layer_size = base::MiB(1);
  StartSeeder(0);
  metainfo::MetaInfoRequest request;
  request.set_url("http://registry.lab:5000/v2/x/blobs/sha256:1");
  EXPECT_EQ(Get(0, request, nullptr).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Get(0, RequestFor("unknown"), nullptr).error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_url("https://elsewhere.example/v2/x/blobs/" + base::Digest::Of("x").str());
  EXPECT_EQ(Get(0, request, nullptr).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const std::string large = NewLayer(0, (1 << 20) + 1);
  EXPECT_EQ(Get(0, RequestFor(large), nullptr).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(
      MetricBecomes(0, "eagle_seeder_requests_total{code=\"NOT_FOUND\",method=\"GetMetaInfo\"} 1"));
}

TEST_F(SeederAppTest, SaysSomethingEverySecondAndReleasesWhoLeaves) {
  const std::string layer = NewLayer(0);
  // By value: a seeder may still ask while the other one is being stopped.
  Serve([layer](const registry::FakeRequest& request) {
    registry::FakeReply reply = registry::FakeReply::Of(layer, request);
    reply.cut_after = 1000;
    reply.hang = true;
    return reply;
  });
  StartAll();
  for (const int seeder : {0, 1}) {
    grpc::ClientContext context;
    const auto stub = Stub(seeder);
    const auto reader = stub->WatchMetaInfo(&context, RequestFor(layer));
    metainfo::MetaInfoProgress message;
    for (int i = 0; i < 5; ++i) {
      const absl::Time start = absl::Now();
      ASSERT_TRUE(reader->Read(&message));
      EXPECT_LT(absl::Now() - start, absl::Seconds(1));
    }
    EXPECT_TRUE(Eventually([&] {
      return reader->Read(&message) && message.bytes_fetched() == 1000 &&
             message.bytes_total() == 1 << 20;
    }));
    // The other seeder waits as well when it was asked to pass this on.
    EXPECT_TRUE(MetricBecomes(seeder, "eagle_seeder_waiting_callers 1"));
    context.TryCancel();
    EXPECT_TRUE(MetricBecomes(seeder, "eagle_seeder_waiting_callers 0"));
    EXPECT_TRUE(MetricBecomes(
        seeder, "eagle_seeder_requests_total{code=\"CANCELLED\",method=\"WatchMetaInfo\"} 1"));
  }
  EXPECT_EQ(registry_->requests().size(), 1u);
}

class NodeObserver final : public swarm::DownloadObserver {
 public:
  void OnProgress(const base::Digest&, const swarm::Progress&) override {}
  void OnComplete(const base::Digest&, const swarm::Progress&) override { complete.Notify(); }
  void OnError(const base::Digest&, const absl::Status& status) override {
    ADD_FAILURE() << status;
  }
  void OnResumeData(const base::Digest&, const std::string&) override {}

  absl::Notification complete;
};

TEST_F(SeederAppTest, ARestartSeedsWhatIsStoredAndAsksNobody) {
  ServeLayers();
  StartSeeder(0);
  const std::string layer = NewLayer(0);
  std::string metainfo;
  ASSERT_TRUE(Get(0, RequestFor(layer), &metainfo).ok());
  apps_[0].reset();
  StartSeeder(0);
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_torrents 1"));
  metainfo::MetaInfoProgress last;
  ASSERT_TRUE(Watch(0, layer, &last).ok());
  EXPECT_EQ(last.metainfo(), metainfo);
  EXPECT_EQ(registry_->requests().size(), 1u);

  swarm::SessionOptions options;
  options.listen_address = "127.0.0.1";
  options.port = kNodePort;
  auto node = swarm::Session::Start(options);
  ASSERT_TRUE(node.ok()) << node.status();
  NodeObserver observer;
  ASSERT_TRUE((*node)
                  ->Download({last.metainfo(), dir_.path()}, "",
                             {last.peers().begin(), last.peers().end()}, &observer)
                  .ok());
  EXPECT_TRUE(observer.complete.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(*base::ReadFile(dir_.path() + "/" + base::Digest::Of(layer).hex()), layer);
  node->reset();
}

TEST_F(SeederAppTest, EvictionEndsTheTorrentFirst) {
  ServeLayers();
  configs_[0].seeders.clear();
  configs_[0].storage.limit = base::ByteSize{5 << 19};  // two layers and a half
  StartSeeder(0);
  std::vector<std::string> layers;
  for (int i = 0; i < 3; ++i) {
    layers.push_back(NewLayer(0));
    ASSERT_TRUE(Get(0, RequestFor(layers.back()), nullptr).ok());
  }
  EXPECT_FALSE(Stored(0, layers[0]));
  EXPECT_TRUE(Stored(0, layers[1]));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_torrents 2"));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_evictions_total 1"));
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_stored_layers 2"));
  ASSERT_TRUE(Get(0, RequestFor(layers[0]), nullptr).ok());
  EXPECT_EQ(registry_->requests().size(), 4u);
}

TEST_F(SeederAppTest, IsHealthyAndReady) {
  ServeLayers();
  StartSeeder(0);
  EXPECT_THAT(Page(0, "/readyz"), HasSubstr("200 OK"));
  const auto health = grpc::health::v1::Health::NewStub(rpc::MakeChannel(configs_[0].self));
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse reply;
  ASSERT_TRUE(health->Check(&context, {}, &reply).ok());
  EXPECT_EQ(reply.status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_F(SeederAppTest, ASecondSeederOnTheSameFolderOrPortIsRefused) {
  ServeLayers();
  StartSeeder(0);
  configs_[1].data_dir = configs_[0].data_dir;
  EXPECT_TRUE(absl::IsUnavailable(SeederApp::Start(configs_[1]).status()));
  configs_[1].data_dir = dir_.path() + "/other";
  configs_[1].listen = configs_[0].listen;
  EXPECT_TRUE(absl::IsUnavailable(SeederApp::Start(configs_[1]).status()));
}

}  // namespace
}  // namespace eagle::seeder

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!eagle::testing::EnterOwnNetwork()) {
    std::cerr << "no network namespace here; ports 21000 to 23000 must be free\n";
  }
  return RUN_ALL_TESTS();
}
