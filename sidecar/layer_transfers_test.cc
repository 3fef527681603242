#include "sidecar/layer_transfers.h"

#include <atomic>
#include <thread>

#include "sidecar/layer_transfers_fixture.h"

namespace eagle::sidecar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(LayerTransfersTest, TwoWhoAskShareOneTransfer) {
  SeedersHave({layer_});
  const auto first = Fetch(layer_.wanted);
  const auto second = Fetch(layer_.wanted);
  Complete(layer_);
  EXPECT_TRUE(first->done);
  EXPECT_TRUE(second->done);
  EXPECT_THAT(client_.calls, SizeIs(1));
  EXPECT_THAT(swarm_.downloads[layer_.digest], SizeIs(1));
}

TEST_F(LayerTransfersTest, ReportsProgressWithoutPauseAndWithoutChange) {
  Fetch(other_.wanted);
  client_.last().listener.message({.bytes_fetched = 1, .metainfo = "", .peers = {}});
  const auto listener = Fetch(layer_.wanted);
  client_.last().listener.message({.bytes_fetched = 4, .metainfo = "", .peers = {}});
  Wait(milliseconds(1000));
  ASSERT_GE(listener->reports.size(), 4U);
  EXPECT_EQ(listener->reports.back().stage, TransferProgress::Stage::kOrigin);
  EXPECT_EQ(listener->reports.back().bytes_at_origin, 4);
  client_.last().listener.message({.bytes_fetched = 7, .metainfo = layer_.metainfo, .peers = {}});
  tasks_.RunAll();
  Arrive(layer_, 6);
  Wait(milliseconds(1000));
  ASSERT_GE(listener->reports.size(), 8U);
  EXPECT_EQ(listener->reports.back().stage, TransferProgress::Stage::kSwarm);
  EXPECT_EQ(listener->reports.back().bytes_done, 6);
  EXPECT_EQ(listener->reports.back().bytes_contiguous, 3);
}

TEST_F(LayerTransfersTest, AStallInTheSwarmFailsEverybodyWhoWaits) {
  SeedersHave({layer_});
  const auto first = Fetch(layer_.wanted);
  Wait(seconds(4));
  const auto second = Fetch(layer_.wanted);
  Arrive(layer_, 3);
  Wait(seconds(4));
  EXPECT_EQ(first->ends, 0);
  Wait(seconds(1));
  EXPECT_EQ(first->failure.reason, FailureReason::kStalled);
  EXPECT_EQ(second->failure.reason, FailureReason::kStalled);
  EXPECT_THAT(swarm_.removed, ElementsAre(layer_.digest));
  // The partial file and its record stay for the next time.
  EXPECT_TRUE(cache_->Find(layer_.digest));
  EXPECT_THAT(Status(), IsEmpty());
}

TEST_F(LayerTransfersTest, AStallAtTheOriginFailsAndProgressThereDoesNot) {
  const auto listener = Fetch(layer_.wanted);
  for (int i = 1; i <= 8; ++i) {
    client_.last().listener.message({.bytes_fetched = i, .metainfo = "", .peers = {}});
    Wait(seconds(1));
  }
  EXPECT_EQ(listener->ends, 0);
  for (int i = 0; i < 5; ++i) {
    client_.last().listener.message({.bytes_fetched = 8, .metainfo = "", .peers = {}});
    Wait(seconds(1));
  }
  EXPECT_EQ(listener->failure.reason, FailureReason::kStalled);
}

TEST_F(LayerTransfersTest, SaysWhyNoSeederHelped) {
  client_.answer = [](FakeMetainfoClient::FakeCall& call) {
    call.listener.end(absl::UnavailableError("refused"));
  };
  EXPECT_EQ(Fetch(layer_.wanted)->failure.reason, FailureReason::kNoSeeder);
  client_.answer = [](FakeMetainfoClient::FakeCall& call) {
    call.listener.end(absl::PermissionDeniedError("no"));
  };
  EXPECT_EQ(Fetch(layer_.wanted)->failure.reason, FailureReason::kDenied);
  client_.answer = [](FakeMetainfoClient::FakeCall& call) {
    call.listener.message({.bytes_fetched = 0, .metainfo = "junk", .peers = {}});
  };
  EXPECT_EQ(Fetch(layer_.wanted)->failure.reason, FailureReason::kMismatch);
}

TEST_F(LayerTransfersTest, TheLastOneToLeaveEndsATransferAfterAGrace) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  const auto first = last_waiter_;
  const auto stays = Fetch(layer_.wanted);
  const auto second = last_waiter_;
  Cancel(first);
  Wait(seconds(4));
  EXPECT_THAT(swarm_.removed, IsEmpty());
  Arrive(layer_, 1);
  Cancel(second);
  Wait(seconds(2));
  EXPECT_THAT(swarm_.removed, IsEmpty());
  Wait(seconds(1));
  EXPECT_THAT(swarm_.removed, ElementsAre(layer_.digest));
  EXPECT_TRUE(cache_->Find(layer_.digest));
  EXPECT_EQ(stays->ends, 0);
}

TEST_F(LayerTransfersTest, ARetriedPullWithinTheGraceJoinsAgain) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  Cancel(last_waiter_);
  Wait(seconds(2));
  const auto listener = Fetch(layer_.wanted);
  Wait(seconds(2));
  EXPECT_THAT(swarm_.removed, IsEmpty());
  Complete(layer_);
  EXPECT_TRUE(listener->done);
  EXPECT_THAT(swarm_.downloads[layer_.digest], SizeIs(1));
}

TEST_F(LayerTransfersTest, APrefetchedTransferOutlivesTheLastWhoWaits) {
  SeedersHave({layer_});
  Prefetch({layer_.wanted});
  Fetch(layer_.wanted);
  Cancel(last_waiter_);
  Wait(seconds(4));
  EXPECT_THAT(swarm_.removed, IsEmpty());
  Complete(layer_);
  EXPECT_TRUE(cache_->Find(layer_.digest)->complete);
}

TEST_F(LayerTransfersTest, PrefetchesStartInTheirOrderAndOnlySoMany) {
  const TestLayer fourth = MakeTestLayer("a fourth layer");
  SeedersHave({layer_, other_, third_, fourth});
  Prefetch({layer_.wanted, other_.wanted, third_.wanted, fourth.wanted});
  EXPECT_THAT(swarm_.downloads, SizeIs(2));
  EXPECT_THAT(swarm_.downloads[layer_.digest], SizeIs(1));
  EXPECT_THAT(swarm_.downloads[other_.digest], SizeIs(1));
  // One that somebody waits for does not wait for the others.
  const auto listener = Fetch(fourth.wanted);
  EXPECT_THAT(swarm_.downloads[fourth.digest], SizeIs(1));
  EXPECT_THAT(swarm_.downloads[third_.digest], IsEmpty());
  Complete(fourth);
  EXPECT_TRUE(listener->done);
  EXPECT_THAT(swarm_.downloads[third_.digest], IsEmpty());
  Complete(layer_);
  EXPECT_THAT(swarm_.downloads[third_.digest], SizeIs(1));
}

TEST_F(LayerTransfersTest, APrefetchThatFailedIsTriedAgainByAFetch) {
  client_.answer = [](FakeMetainfoClient::FakeCall& call) {
    call.listener.end(absl::UnavailableError("refused"));
  };
  Prefetch({layer_.wanted});
  EXPECT_THAT(Status(), IsEmpty());
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  EXPECT_THAT(swarm_.downloads[layer_.digest], SizeIs(1));
}

TEST_F(LayerTransfersTest, AnotherSizeThanTheLayersIsAMismatch) {
  SeedersHave({layer_});
  WantedLayer wrong = layer_.wanted;
  wrong.size_bytes = 1;
  const auto listener = Fetch(layer_.wanted);
  EXPECT_EQ(Fetch(wrong)->failure.reason, FailureReason::kMismatch);
  Complete(layer_);
  EXPECT_TRUE(listener->done);
  EXPECT_EQ(Fetch(wrong)->failure.reason, FailureReason::kMismatch);
  EXPECT_TRUE(Fetch(layer_.wanted)->done);
}

TEST_F(LayerTransfersTest, ShuttingDownTellsThoseWhoWaitAndSavesResumeDataAtOnce) {
  SeedersHave({layer_});
  const auto listener = Fetch(layer_.wanted);
  // ShutDown() waits for the strand, which runs only when told to.
  std::atomic<bool> down{false};
  std::thread stopping([&] {
    transfers_->ShutDown();
    down = true;
  });
  while (!down) tasks_.RunAll();
  stopping.join();
  EXPECT_EQ(listener->failure.reason, FailureReason::kShuttingDown);
  transfers_->OnResumeData(layer_.digest, "the last");
  EXPECT_EQ(cache_->Find(layer_.digest)->resume_data, "the last");
  EXPECT_EQ(Fetch(other_.wanted)->failure.reason, FailureReason::kShuttingDown);
}

TEST_F(LayerTransfersTest, CountsWhatHappens) {
  SeedersHave({layer_});
  swarm_.totals.payload_from_peers_bytes = 5;
  swarm_.totals.payload_from_seeders_bytes = 2;
  swarm_.totals.payload_uploaded_bytes = 9;
  Fetch(layer_.wanted);
  Complete(layer_);
  Fetch(layer_.wanted);
  Wait(seconds(2));
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_received_bytes_total{source=\"peers\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_received_bytes_total{source=\"seeders\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_sent_bytes_total 9\n"));
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_fetches_total{outcome=\"fetched\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_fetches_total{outcome=\"cached\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_cache_blobs 1\n"));
  EXPECT_THAT(text, HasSubstr("eagle_sidecar_cache_limit_bytes 104857600\n"));
}

}  // namespace
}  // namespace eagle::sidecar
