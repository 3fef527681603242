#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "lib/base/file.h"
#include "plugin/testing/layer_pull.h"
#include "plugin/testing/node.h"
#include "plugin/testing/wait.h"

// The second STAT, over real sockets on all sides.
namespace eagle::plugin {
namespace {

using std::chrono::milliseconds;
using testing::ContentClient;
using ::testing::ElementsAre;
using testing::Eventually;
using testing::FakeSidecar;
using ::testing::IsEmpty;
using testing::Node;
using testing::P2pBytes;
using testing::P2pLayers;
using testing::Pulled;
using testing::PullLayer;
using ::testing::SizeIs;
using testing::TestImage;
using testing::WriteCall;
using Layer = eagle::node::v1::Layer;

class Interception : public ::testing::Test {
 protected:
  void Store(std::size_t i) { node_.sidecar().Store(image_.layer(i), image_.layers[i]); }

  Node node_;
  const TestImage image_ = TestImage::Make({3 << 20, 100'000, 50'000});
};

TEST_F(Interception, LinksALayerFromTheCacheAndCommitOnlyRenames) {
  node_.PullManifest(image_);
  Store(0);
  node_.sidecar().SetPlay([&](const Layer& layer, FakeSidecar::Transfer& transfer) {
    transfer.Progress(1 << 20, 1 << 20);
    transfer.Done(layer.digest().substr(7), 2 << 20, 1 << 20);
  });
  const Pulled pulled = PullLayer(node_, image_, 0);
  EXPECT_TRUE(pulled.status.ok()) << pulled.status.error_message();
  EXPECT_TRUE(pulled.from_p2p);
  grpc::Status status;
  EXPECT_EQ(node_.client().Read(image_.layer(0).str(), 0, 0, &status), image_.layers[0]);
  struct stat seed {};
  struct stat blob {};
  ASSERT_EQ(::stat(node_.sidecar().PathOf(image_.layer(0)).c_str(), &seed), 0);
  ASSERT_EQ(::stat(node_.BlobPath(image_.layer(0)).c_str(), &blob), 0);
  EXPECT_EQ(seed.st_ino, blob.st_ino);
  EXPECT_EQ(blob.st_mode & 07777, 0444U);

  const auto fetched = node_.sidecar().fetched();
  ASSERT_THAT(fetched, SizeIs(1));
  EXPECT_EQ(fetched[0].size(), image_.size(0));
  ASSERT_EQ(fetched[0].sources_size(), 1);
  EXPECT_EQ(fetched[0].sources(0).registry(), "registry.example");
  EXPECT_EQ(fetched[0].sources(0).repository(), "team/app");
  EXPECT_EQ(P2pLayers(node_), 1);
  EXPECT_EQ(P2pBytes(node_, "peers"), 2 << 20);
  EXPECT_EQ(P2pBytes(node_, "seeders"), 1 << 20);
  EXPECT_EQ(P2pBytes(node_, "cache"), 0);
  EXPECT_EQ(node_.Metric("eagle_plugin_hand_overs_total{kind=\"link\"}"), 1);
}

TEST_F(Interception, PrefetchesTheLayersAfterTheFirstOneAskedFor) {
  node_.PullManifest(image_);
  for (std::size_t i = 0; i < 3; ++i) Store(i);
  EXPECT_TRUE(PullLayer(node_, image_, 1).from_p2p);
  EXPECT_TRUE(Eventually([&] { return !node_.sidecar().prefetched().empty(); }));
  EXPECT_THAT(node_.sidecar().prefetched(), ElementsAre(image_.layer(2).str()));
  EXPECT_TRUE(PullLayer(node_, image_, 2).from_p2p);
  EXPECT_THAT(node_.sidecar().prefetched(), SizeIs(1));
}

TEST_F(Interception, ALayerIsNotSeenBeforeItsCommit) {
  node_.PullManifest(image_);
  Store(0);
  auto write = node_.client().OpenWrite(Node::LayerRef(image_.layer(0)));
  ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
  ASSERT_EQ(write->Stat()->offset(), image_.size(0));
  EXPECT_FALSE(node_.client().Has(image_.layer(0)));
  grpc::Status status;
  EXPECT_THAT(node_.client().List({}, &status), SizeIs(1));
  ASSERT_TRUE(write->Commit(0, image_.size(0), image_.layer(0).str()).has_value());
  EXPECT_TRUE(node_.client().Has(image_.layer(0)));
}

TEST_F(Interception, OnlyTheSecondStatOfAFreshStreamAsks) {
  node_.PullManifest(image_);
  Store(0);
  auto write = node_.client().OpenWrite(Node::LayerRef(image_.layer(0)));
  // No STAT first.
  ASSERT_TRUE(write->Write(0, "x", image_.size(0)).has_value());
  ASSERT_TRUE(write->Stat().has_value());
  ASSERT_TRUE(write->Stat().has_value());
  EXPECT_TRUE(write->End().ok());
  // Not at offset 0.
  auto resumed = node_.client().OpenWrite(Node::LayerRef(image_.layer(0)));
  ASSERT_EQ(resumed->Stat(image_.size(0))->offset(), 1);
  EXPECT_EQ(resumed->Stat()->offset(), 1);
  EXPECT_TRUE(resumed->End().ok());
  // Size unknown, or the ref is of something else.
  for (const std::string& ref : {std::string("k8s.io/8/layer-") + image_.layer(1).str(),
                                 std::string("k8s.io/8/config-") + image_.layer(0).str(),
                                 "layer-" + image_.layer(0).str()}) {
    auto other = node_.client().OpenWrite(ref);
    ASSERT_TRUE(other->Stat(ref.find("8/layer") == std::string::npos ? 100 : 0).has_value());
    EXPECT_EQ(other->Stat()->offset(), 0);
  }
  EXPECT_THAT(node_.sidecar().fetched(), IsEmpty());
}

TEST_F(Interception, ShowsLiveProgressThatOnlyGrows) {
  node_.PullManifest(image_);
  Store(0);
  std::promise<void> go_on;
  node_.sidecar().SetPlay([&](const Layer& layer, FakeSidecar::Transfer& transfer) {
    transfer.Progress(2 << 20, 1 << 20);
    // Nonsense: less than before, and more than there is.
    transfer.Progress((2 << 20) + 1, 5);
    go_on.get_future().wait();
    transfer.Done(layer.digest().substr(7), 0, 0);
  });
  const std::string ref = Node::LayerRef(image_.layer(0));
  auto write = node_.client().OpenWrite(ref);
  ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
  write->SendStat();
  ContentClient::Status status;
  EXPECT_TRUE(Eventually(
      [&] { return node_.client().GetStatus(ref, &status).ok() && status.offset() == 1 << 20; }));
  EXPECT_EQ(status.total(), image_.size(0));
  grpc::Status ok;
  EXPECT_EQ(node_.client().ListStatuses({}, &ok).at(0).offset(), 1 << 20);
  EXPECT_EQ(node_.Metric("eagle_plugin_waiting_layers"), 1);
  go_on.set_value();
  EXPECT_EQ(write->Receive()->offset(), image_.size(0));
  EXPECT_EQ(P2pBytes(node_, "cache"), image_.size(0));
}

TEST(InterceptionBlocked, EveryOtherCallIsAnsweredWhileAHundredLayersWait) {
  constexpr std::size_t kLayers = 100;
  // Nothing but the test ends the wait.
  Node node([](PluginConfig& config) {
    config.p2p.sidecar_timeout = config.p2p.stall_timeout = config.p2p.budget =
        std::chrono::hours(1);
  });
  const TestImage image = TestImage::Make(std::vector<std::int64_t>(kLayers, 10'000));
  std::promise<void> go_on;
  const std::shared_future<void> released = go_on.get_future().share();
  node.sidecar().SetPlay([&](const Layer&, FakeSidecar::Transfer& transfer) {
    released.wait();
    transfer.Fail(eagle::node::v1::Failed::NO_SEEDER);
  });
  // What is there before.
  ContentClient& client = node.client();
  node.PullManifest(image);
  ASSERT_TRUE(client.Put("x/1/config-kept", "kept").ok());
  ASSERT_TRUE(client.Put("x/1/config-goes", "goes").ok());
  auto begun = client.OpenWrite("x/1/begun");
  ASSERT_TRUE(begun->Stat(8).has_value());
  ASSERT_TRUE(begun->Write(0, "half").has_value());
  ASSERT_TRUE(client.OpenWrite("x/1/left")->Stat(8).has_value());

  std::vector<std::unique_ptr<WriteCall>> waiting;
  for (std::size_t i = 0; i < kLayers; ++i) {
    waiting.push_back(client.OpenWrite(Node::LayerRef(image.layer(i))));
    ASSERT_TRUE(waiting.back()->Stat(image.size(i)).has_value());
    waiting.back()->SendStat();
  }
  const auto all_wait = [&] { return node.Metric("eagle_plugin_waiting_layers") == kLayers; };
  ASSERT_TRUE(Eventually(all_wait));
  ASSERT_TRUE(Eventually([&] { return node.sidecar().fetched().size() == kLayers; }));

  grpc::Status status;
  EXPECT_TRUE(client.Has(base::Digest::Of("kept")));
  EXPECT_FALSE(client.Has(image.layer(0)));
  EXPECT_EQ(client.Read(base::Digest::Of("kept").str(), 0, 0, &status), "kept");
  EXPECT_THAT(client.List({}, &status), SizeIs(3));
  ContentClient::Status of_layer;
  EXPECT_TRUE(client.GetStatus(Node::LayerRef(image.layer(7)), &of_layer).ok());
  EXPECT_EQ(of_layer.offset(), 0);
  EXPECT_THAT(client.ListStatuses({}, &status), SizeIs(kLayers + 2));
  EXPECT_TRUE(client.Delete(base::Digest::Of("goes").str()).ok());
  EXPECT_TRUE(client.Abort("x/1/left").ok());
  EXPECT_EQ(client.Update(base::Digest::Of("kept").str()).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(begun->Write(4, "half").has_value());
  EXPECT_TRUE(begun->Commit(8, 8, base::Digest::Of("halfhalf").str()).has_value());
  EXPECT_TRUE(client.Put("x/2/config-new", std::string(3 << 20, 'n')).ok());
  // A layer that somebody waits for is locked, at once, and one more may begin to wait.
  EXPECT_EQ(client.OpenWrite(Node::LayerRef(image.layer(3)))->Stat(10'000), std::nullopt);
  auto one_more = client.OpenWrite("other/1/layer-" + image.layer(3).str());
  EXPECT_TRUE(one_more->Stat(10'000).has_value());
  waiting[5]->Cancel();
  EXPECT_TRUE(Eventually(
      [&] { return client.OpenWrite(Node::LayerRef(image.layer(5)))->Stat(10'000).has_value(); }));

  EXPECT_EQ(node.Metric("eagle_plugin_waiting_layers"), kLayers - 1) << "and all that meanwhile";
  go_on.set_value();
  for (std::size_t i = 0; i < kLayers; ++i) {
    if (i == 5) continue;
    EXPECT_EQ(waiting[i]->Receive()->offset(), 0);
  }
}

TEST_F(Interception, OneTransferServesManyStreams) {
  node_.PullManifest(image_, "k8s.io");
  node_.containerd().AddSource("default", image_.digest(), "registry.example", "team/app");
  Store(0);
  std::promise<void> go_on;
  node_.sidecar().SetPlay([&](const Layer& layer, FakeSidecar::Transfer& transfer) {
    transfer.Progress(7, 7);
    go_on.get_future().wait();
    transfer.Done(layer.digest().substr(7), layer.size(), 0);
  });
  const std::int64_t size = image_.size(0);
  auto one = node_.client().OpenWrite(Node::LayerRef(image_.layer(0), "k8s.io"));
  auto two = node_.client().OpenWrite(Node::LayerRef(image_.layer(0), "default"));
  for (auto* write : {one.get(), two.get()}) {
    ASSERT_TRUE(write->Stat(size).has_value());
    write->SendStat();
  }
  // Both have joined the transfer when both show its progress.
  for (const char* ns : {"k8s.io", "default"}) {
    ContentClient::Status status;
    ASSERT_TRUE(Eventually([&] {
      return node_.client().GetStatus(Node::LayerRef(image_.layer(0), ns), &status).ok() &&
             status.offset() == 7;
    }));
  }
  go_on.set_value();
  EXPECT_EQ(one->Receive()->offset(), size);
  EXPECT_EQ(two->Receive()->offset(), size);
  EXPECT_TRUE(one->Commit(0, size, image_.layer(0).str()).has_value());
  EXPECT_EQ(two->Commit(0, size, image_.layer(0).str()), std::nullopt);
  EXPECT_EQ(two->End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(node_.sidecar().fetches(image_.layer(0)), 1);
  EXPECT_EQ(P2pBytes(node_, "peers"), size);
}

TEST_F(Interception, ALayerOfAnotherNamespaceNeedsNoTransfer) {
  ASSERT_TRUE(PullLayer(node_, image_, 0, "default").status.ok());
  node_.StopSidecar();
  EXPECT_FALSE(
      std::filesystem::exists(node_.IngestPath(Node::LayerRef(image_.layer(0), "k8s.io"))));
  auto write = node_.client().OpenWrite(Node::LayerRef(image_.layer(0), "k8s.io"));
  ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
  const auto second = write->Stat();
  EXPECT_EQ(second->offset(), image_.size(0));
  EXPECT_EQ(second->digest(), image_.layer(0).str());
  EXPECT_EQ(write->Commit(0, image_.size(0), image_.layer(0).str()), std::nullopt);
  EXPECT_EQ(write->End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(node_.Metric("eagle_plugin_layers_total{outcome=\"local\",reason=\"none\"}"), 1);
}

TEST_F(Interception, CancellationReleasesTheRefAndTheTransferAtOnce) {
  node_.PullManifest(image_);
  std::promise<bool> released;
  node_.sidecar().SetPlay([&](const Layer&, FakeSidecar::Transfer& transfer) {
    transfer.Progress(1000, 1000);
    released.set_value(transfer.AwaitCancelled());
  });
  const std::string ref = Node::LayerRef(image_.layer(0));
  {
    auto write = node_.client().OpenWrite(ref);
    ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
    write->SendStat();
    ASSERT_TRUE(Eventually([&] { return node_.sidecar().fetches(image_.layer(0)) == 1; }));
    write->Cancel();
  }
  EXPECT_TRUE(released.get_future().get());
  EXPECT_TRUE(Eventually([&] { return node_.client().OpenWrite(ref)->Stat().has_value(); }));
  EXPECT_TRUE(Eventually([&] { return node_.Metric("eagle_plugin_waiting_layers") == 0; }));
}

TEST_F(Interception, CancellingOneOfTwoLeavesTheTransferToTheOther) {
  node_.PullManifest(image_);
  node_.containerd().AddSource("default", image_.digest(), "r", "a");
  Store(0);
  std::promise<void> go_on;
  node_.sidecar().SetPlay([&](const Layer& layer, FakeSidecar::Transfer& transfer) {
    transfer.Progress(7, 7);
    go_on.get_future().wait();
    transfer.Done(layer.digest().substr(7), 0, 0);
  });
  auto stays = node_.client().OpenWrite(Node::LayerRef(image_.layer(0), "k8s.io"));
  auto goes = node_.client().OpenWrite(Node::LayerRef(image_.layer(0), "default"));
  for (auto* write : {stays.get(), goes.get()}) {
    ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
    write->SendStat();
  }
  // Both have joined the transfer when both show its progress.
  for (const char* ns : {"k8s.io", "default"}) {
    ContentClient::Status status;
    ASSERT_TRUE(Eventually([&] {
      return node_.client().GetStatus(Node::LayerRef(image_.layer(0), ns), &status).ok() &&
             status.offset() == 7;
    }));
  }
  goes.reset();
  EXPECT_TRUE(Eventually([&] { return node_.Metric("eagle_plugin_waiting_layers") == 1; }));
  go_on.set_value();
  EXPECT_EQ(stays->Receive()->offset(), image_.size(0));
}

// What containerd may do with an ingest that is linked.

TEST_F(Interception, AWriteIntoALinkedIngestLeavesTheSeedAlone) {
  node_.PullManifest(image_);
  Store(0);
  auto write = node_.client().OpenWrite(Node::LayerRef(image_.layer(0)));
  ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
  ASSERT_EQ(write->Stat()->offset(), image_.size(0));
  const auto reply = write->Write(0, "other bytes");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->offset(), 11);
  EXPECT_EQ(*base::ReadFile(node_.sidecar().PathOf(image_.layer(0))), image_.layers[0]);
}

TEST_F(Interception, AFullIngestSurvivesARestart) {
  node_.PullManifest(image_);
  Store(0);
  const std::string ref = Node::LayerRef(image_.layer(0));
  {
    auto write = node_.client().OpenWrite(ref);
    ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
    ASSERT_EQ(write->Stat()->offset(), image_.size(0));
    EXPECT_TRUE(write->End().ok());
  }
  node_.StopPlugin();
  node_.StopSidecar();
  node_.StartPlugin();
  auto write = node_.client().OpenWrite(ref);
  EXPECT_EQ(write->Stat(image_.size(0))->offset(), image_.size(0));
  const auto second = write->Stat();
  EXPECT_EQ(second->offset(), image_.size(0));
  EXPECT_EQ(second->digest(), image_.layer(0).str());
  EXPECT_TRUE(write->Commit(0, image_.size(0), image_.layer(0).str()).has_value());
}

TEST_F(Interception, StoppingThePluginEndsTheWait) {
  node_.PullManifest(image_);
  node_.sidecar().SetPlay([](const Layer&, FakeSidecar::Transfer& transfer) {
    EXPECT_TRUE(transfer.AwaitCancelled());
  });
  auto write = node_.client().OpenWrite(Node::LayerRef(image_.layer(0)));
  ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
  write->SendStat();
  ASSERT_TRUE(Eventually([&] { return node_.sidecar().fetches(image_.layer(0)) == 1; }));
  node_.StopPlugin();
  EXPECT_EQ(write->Receive(), std::nullopt);
}

}  // namespace
}  // namespace eagle::plugin
