// What transfers leave in the cache, and what they find there.
#include <unistd.h>

#include <filesystem>

#include "lib/base/file.h"
#include "sidecar/layer_transfers_fixture.h"

namespace eagle::sidecar {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(LayerTransfersTest, FetchesFromTheSwarmAndKeepsTheLayer) {
  SeedersHave({layer_});
  const auto listener = Fetch(layer_.wanted);
  ASSERT_THAT(swarm_.downloads[layer_.digest], SizeIs(1));
  EXPECT_THAT(swarm_.downloads[layer_.digest][0].peers, ElementsAre("10.0.0.1:61008"));
  Complete(layer_);
  EXPECT_TRUE(listener->done);
  EXPECT_EQ(listener->from_peers, 5);
  EXPECT_EQ(listener->from_seeders, 2);
  const auto record = cache_->Find(layer_.digest);
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->complete);
  EXPECT_EQ(record->metainfo, layer_.metainfo);
  EXPECT_EQ(record->source, "registry.lab/app");
  EXPECT_THAT(swarm_.removed, IsEmpty());
  EXPECT_THAT(Status(), IsEmpty());

  // The second time it is there.
  const auto again = Fetch(layer_.wanted);
  EXPECT_TRUE(again->done);
  EXPECT_EQ(again->from_peers, 0);
  EXPECT_EQ(again->from_seeders, 0);
  EXPECT_THAT(swarm_.downloads[layer_.digest], SizeIs(1));
}

TEST_F(LayerTransfersTest, WithoutSeedersAKnownTorrentIsFetchedFromTheSwarm) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  transfers_->OnResumeData(layer_.digest, "resume");
  Cancel(last_waiter_);
  Wait(seconds(4));
  client_.answer = [](FakeMetainfoClient::FakeCall& call) {
    call.listener.end(absl::UnavailableError("refused"));
  };
  const auto listener = Fetch(layer_.wanted);
  ASSERT_THAT(swarm_.downloads[layer_.digest], SizeIs(2));
  EXPECT_EQ(swarm_.downloads[layer_.digest][1].resume_data, "resume");
  Complete(layer_);
  EXPECT_TRUE(listener->done);
}

TEST_F(LayerTransfersTest, ALayerThatDoesNotFitIsRefused) {
  const TestLayer first = Big('1');
  SeedersHave({first});
  Open(base::MiB(10));
  EXPECT_EQ(Fetch(first.wanted)->failure.reason, FailureReason::kNoSpace);
  EXPECT_THAT(swarm_.downloads[first.digest], IsEmpty());
  EXPECT_FALSE(cache_->Find(first.digest));
}

TEST_F(LayerTransfersTest, WhatContainerdDeletesCountsAndIsEvictedAtOnce) {
  const TestLayer first = Big('1');
  const TestLayer second = Big('2');
  const TestLayer third = Big('3');
  SeedersHave({first, second, third});
  // More than the limit, but for the second names that containerd's store has.
  for (const TestLayer* layer : {&first, &second, &third}) {
    Fetch(layer->wanted);
    Complete(*layer);
    std::filesystem::create_hard_link(cache_->PathOf(layer->digest),
                                      dir_.path() + "/" + layer->digest.hex());
    clock_.Advance(seconds(1));
  }
  EXPECT_EQ(cache_->List().size(), 3U);
  for (const TestLayer* layer : {&first, &second, &third}) {
    std::filesystem::remove(dir_.path() + "/" + layer->digest.hex());
  }
  absl::Status told = absl::UnknownError("not called");
  transfers_->Deleted([&](const absl::Status& status) { told = status; });
  tasks_.RunAll();
  EXPECT_TRUE(told.ok()) << told;
  EXPECT_THAT(swarm_.removed, ElementsAre(first.digest));
  EXPECT_FALSE(cache_->Find(first.digest));
  EXPECT_TRUE(cache_->Find(third.digest));
}

TEST_F(LayerTransfersTest, TheCacheIsTrimmedNowAndThenWhoeverFillsTheDisk) {
  const TestLayer first = Big('1');
  const TestLayer second = Big('2');
  const TestLayer third = Big('3');
  SeedersHave({first, second, third});
  for (const TestLayer* layer : {&first, &second, &third}) {
    Fetch(layer->wanted);
    Complete(*layer);
    std::filesystem::create_hard_link(cache_->PathOf(layer->digest),
                                      dir_.path() + "/" + layer->digest.hex());
  }
  Wait(seconds(1));
  std::filesystem::remove(dir_.path() + "/" + first.digest.hex());
  std::filesystem::remove(dir_.path() + "/" + second.digest.hex());
  std::filesystem::remove(dir_.path() + "/" + third.digest.hex());
  Wait(seconds(1));
  EXPECT_EQ(cache_->List().size(), 3U);
  Wait(seconds(30));
  EXPECT_EQ(cache_->List().size(), 2U);
}

TEST_F(LayerTransfersTest, TheLeastRecentlyUsedLayerLeavesTheSwarmAndTheCache) {
  const TestLayer first = Big('1');
  const TestLayer second = Big('2');
  const TestLayer third = Big('3');
  SeedersHave({first, second, third});
  for (const TestLayer* layer : {&first, &second}) {
    const auto listener = Fetch(layer->wanted);
    Complete(*layer);
    ASSERT_TRUE(listener->done);
    clock_.Advance(seconds(1));
  }
  EXPECT_TRUE(Fetch(first.wanted)->done);  // used last
  Fetch(third.wanted);
  EXPECT_THAT(swarm_.removed, ElementsAre(second.digest));
  EXPECT_TRUE(cache_->Find(first.digest));
  EXPECT_FALSE(cache_->Find(second.digest));
  EXPECT_THAT(swarm_.downloads[third.digest], SizeIs(1));
}

TEST_F(LayerTransfersTest, AFullDiskIsNoSpaceAndAnotherDiskErrorIsInternal) {
  SeedersHave({layer_});
  auto listener = Fetch(layer_.wanted);
  transfers_->OnError(layer_.digest, absl::ResourceExhaustedError("no space left on device"));
  tasks_.RunAll();
  EXPECT_EQ(listener->failure.reason, FailureReason::kNoSpace);
  listener = Fetch(layer_.wanted);
  transfers_->OnError(layer_.digest, absl::InternalError("input/output error"));
  tasks_.RunAll();
  EXPECT_EQ(listener->failure.reason, FailureReason::kInternal);
  EXPECT_THAT(listener->failure.message, HasSubstr("input/output"));
}

TEST_F(LayerTransfersTest, DiscardDropsTorrentFileAndRecordBeforeItAnswers) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  Complete(layer_);
  absl::Status answer = absl::UnknownError("none");
  bool gone = false;
  transfers_->Discard(layer_.digest, [&](absl::Status status) {
    answer = std::move(status);
    gone = !cache_->Find(layer_.digest) && !swarm_.Has(layer_.digest) &&
           ::access(cache_->PathOf(layer_.digest).c_str(), F_OK) != 0;
  });
  // Somebody asks again before it is gone.
  const auto listener = std::make_shared<RecordingListener>();
  transfers_->Fetch(layer_.wanted, listener);
  tasks_.RunAll();
  EXPECT_TRUE(answer.ok()) << answer;
  EXPECT_TRUE(gone);
  ASSERT_THAT(swarm_.downloads[layer_.digest], SizeIs(2));
  EXPECT_EQ(swarm_.downloads[layer_.digest][1].resume_data, "");
  Complete(layer_);
  EXPECT_TRUE(listener->done);
}

TEST_F(LayerTransfersTest, DiscardEndsATransferUnderWay) {
  SeedersHave({layer_});
  const auto listener = Fetch(layer_.wanted);
  bool answered = false;
  transfers_->Discard(layer_.digest, [&](const absl::Status&) { answered = true; });
  tasks_.RunAll();
  EXPECT_TRUE(answered);
  EXPECT_TRUE(listener->failed);
  EXPECT_FALSE(cache_->Find(layer_.digest));
  EXPECT_THAT(Status(), IsEmpty());
}

TEST_F(LayerTransfersTest, DiscardOfAnUnknownLayerIsNoError) {
  absl::Status answer = absl::UnknownError("none");
  transfers_->Discard(layer_.digest, [&](absl::Status status) { answer = std::move(status); });
  tasks_.RunAll();
  EXPECT_TRUE(answer.ok());
  EXPECT_THAT(Status(), IsEmpty());
}

TEST_F(LayerTransfersTest, ACachedLayerWhoseFileIsGoneIsFetchedAgain) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  Complete(layer_);
  ASSERT_EQ(::unlink(cache_->PathOf(layer_.digest).c_str()), 0);
  const auto listener = Fetch(layer_.wanted);
  EXPECT_EQ(listener->ends, 0);
  EXPECT_THAT(swarm_.downloads[layer_.digest], SizeIs(2));
}

TEST_F(LayerTransfersTest, ASeedWhoseFileCannotBeReadLeavesTheCache) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  Complete(layer_);
  transfers_->OnError(layer_.digest, absl::NotFoundError("gone"));
  tasks_.RunAll();
  EXPECT_FALSE(cache_->Find(layer_.digest));
}

TEST_F(LayerTransfersTest, ARestartSeedsWhatIsCompleteAndResumesTheRest) {
  SeedersHave({layer_, other_});
  Fetch(layer_.wanted);
  Complete(layer_);
  Fetch(other_.wanted);
  ASSERT_TRUE(base::WriteFileAtomic(cache_->PathOf(other_.digest), "ano").ok());
  transfers_->OnResumeData(other_.digest, "resume");
  tasks_.RunAll();

  Open(base::MiB(100));
  swarm_ = FakeSwarm();
  transfers_->SeedCached();
  EXPECT_THAT(swarm_.seeded, ElementsAre(layer_.digest));
  EXPECT_TRUE(Fetch(layer_.wanted)->done);
  Fetch(other_.wanted);
  ASSERT_THAT(swarm_.downloads[other_.digest], SizeIs(1));
  EXPECT_EQ(swarm_.downloads[other_.digest][0].resume_data, "resume");
}

TEST_F(LayerTransfersTest, AfterALostIndexTheTorrentIsMadeAgainFromTheFile) {
  transfers_.reset();
  cache_.reset();
  ASSERT_TRUE(
      base::WriteFileAtomic(dir_.path() + "/blobs/" + layer_.digest.hex(), layer_.data, 0444).ok());
  Open(base::MiB(100));
  transfers_->SeedCached();
  EXPECT_THAT(swarm_.seeded, IsEmpty());
  tasks_.RunAll();
  EXPECT_THAT(swarm_.seeded, ElementsAre(layer_.digest));
  EXPECT_EQ(cache_->Find(layer_.digest)->metainfo, layer_.metainfo);
}

TEST_F(LayerTransfersTest, ACachedLayerThatFellOutOfTheSwarmIsSeededAgainWhenUsed) {
  SeedersHave({layer_});
  Fetch(layer_.wanted);
  Complete(layer_);
  swarm_.present.clear();
  EXPECT_TRUE(Fetch(layer_.wanted)->done);
  EXPECT_THAT(swarm_.seeded, Contains(layer_.digest));
}

}  // namespace
}  // namespace eagle::sidecar
