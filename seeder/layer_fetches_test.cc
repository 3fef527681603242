#include "seeder/layer_fetches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "lib/base/rendezvous.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "seeder/file_storage.h"
#include "seeder/seeder_fakes.h"

namespace eagle::seeder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kSeeders = {"a:1", "b:1"};

class LayerFetchesTest : public ::testing::Test {
 protected:
  LayerFetchesTest() {
    auto storage = FileStorage::Open(dir_.path(), base::MiB(1), clock_);
    EXPECT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
    uploads_ = std::make_unique<SecondUploads>(*storage_, swarm_, base::KiB(100));
    origin_ = std::make_unique<OriginFetch>(origins_, *storage_, swarm_, nullptr, metrics_);
    options_.own_peers = {"10.0.0.1:61008"};
    options_.progress_interval = std::chrono::milliseconds(5);
    Restart();
  }
  ~LayerFetchesTest() override {
    fetches_.reset();
    uploads_.reset();
  }

  void Restart() {
    fetches_.reset();
    fetches_ = std::make_unique<LayerFetches>(options_, *storage_, *origin_, others_, *uploads_,
                                              metrics_, clock_);
  }
  void AmongSeeders(const std::string& self) {
    options_.seeders = kSeeders;
    options_.self = self;
    Restart();
  }

  std::shared_ptr<RecordingObserver> Watch(const LayerRequest& request, Hop hop = Hop::kFromNode) {
    auto observer = std::make_shared<RecordingObserver>();
    fetches_->Watch(request, hop, observer);
    return observer;
  }

  // A layer that `seeder` owns.
  static std::string OwnedBy(const std::string& seeder) {
    for (int i = 0;; ++i) {
      const std::string content = "layer " + std::to_string(i);
      const auto order = base::RendezvousOrder(base::Digest::Of(content).str(), kSeeders);
      if (kSeeders[order[0]] == seeder) return content;
    }
  }
  std::string Metric(const std::string& line) {
    const std::string text = registry_.Expose();
    const std::size_t at = text.find("\n" + line + " ");
    if (at == std::string::npos) return "no " + line;
    const std::size_t begin = at + line.size() + 2;
    return text.substr(begin, text.find('\n', begin) - begin);
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  SeederMetrics metrics_{registry_};
  FakeSwarm swarm_;
  FakeOrigins origins_;
  FakeOtherSeeders others_;
  std::unique_ptr<FileStorage> storage_;
  std::unique_ptr<SecondUploads> uploads_;
  std::unique_ptr<OriginFetch> origin_;
  LayerFetchesOptions options_;
  std::unique_ptr<LayerFetches> fetches_;
};

TEST_F(LayerFetchesTest, FetchesFromTheRegistryStoresAndSeeds) {
  origins_.Put("content");
  const auto answer = Watch(UrlOf("content"))->Wait();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->metainfo, TorrentOf("content"));
  EXPECT_EQ(answer->size_bytes, 7);
  EXPECT_THAT(answer->peers, ElementsAre("10.0.0.1:61008"));
  EXPECT_THAT(swarm_.seeds(), ElementsAre(TorrentOf("content")));
  const auto stored = storage_->Find(base::Digest::Of("content"));
  ASSERT_TRUE(stored);
  EXPECT_TRUE(stored->complete);
  EXPECT_EQ(*storage_->Read(stored->digest, 0, 100), "content");
  EXPECT_EQ(Metric("eagle_seeder_origin_bytes_total"), "7");
  EXPECT_EQ(Metric("eagle_seeder_origin_fetches_total{result=\"ok\"}"), "1");
}

TEST_F(LayerFetchesTest, AnswersFromTheStorage) {
  origins_.Put("content");
  ASSERT_TRUE(Watch(UrlOf("content"))->Wait().ok());
  const auto again = Watch(UrlOf("content", "other/name"))->Wait();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->metainfo, TorrentOf("content"));
  EXPECT_EQ(origins_.asked().size(), 1u);
}

TEST_F(LayerFetchesTest, ManyWaitForOneFetch) {
  absl::Notification go;
  origins_.Handle([&](const auto&, registry::BlobSink& sink, auto&) {
    go.WaitForNotification();
    return FakeOrigins::Send("content", sink);
  });
  std::vector<std::shared_ptr<RecordingObserver>> observers;
  for (int i = 0; i < 20; ++i) observers.push_back(Watch(UrlOf("content")));
  EXPECT_EQ(Metric("eagle_seeder_waiting_callers"), "20");
  go.Notify();
  for (const auto& observer : observers) EXPECT_TRUE(observer->Wait().ok());
  EXPECT_EQ(origins_.asked().size(), 1u);
  EXPECT_EQ(Metric("eagle_seeder_waiting_callers"), "0");
}

TEST_F(LayerFetchesTest, TellsProgressWhileWaiting) {
  absl::Notification go;
  origins_.Handle([&](const auto&, registry::BlobSink& sink, auto&) {
    EAGLE_RETURN_IF_ERROR(sink.Begin(7));
    EAGLE_RETURN_IF_ERROR(sink.Write("cont"));
    go.WaitForNotification();
    return sink.Write("ent");
  });
  const auto observer = Watch(UrlOf("content"));
  EXPECT_TRUE(observer->WaitProgress(4, 7));
  EXPECT_TRUE(observer->WaitMessages(observer->messages() + 3));
  go.Notify();
  EXPECT_TRUE(observer->Wait().ok());
}

TEST_F(LayerFetchesTest, AFetchGoesOnWhenEverybodyHasLeft) {
  absl::Notification go;
  origins_.Handle([&](const auto&, registry::BlobSink& sink, auto&) {
    go.WaitForNotification();
    return FakeOrigins::Send("content", sink);
  });
  const auto gone = Watch(UrlOf("content"));
  fetches_->Leave(base::Digest::Of("content"), gone);
  EXPECT_EQ(Metric("eagle_seeder_waiting_callers"), "0");
  const auto stays = Watch(UrlOf("content"));
  go.Notify();
  EXPECT_TRUE(stays->Wait().ok());
  EXPECT_EQ(gone->ends(), 0);
  EXPECT_EQ(origins_.asked().size(), 1u);
}

TEST_F(LayerFetchesTest, WrongBytesAreNeitherStoredNorSeeded) {
  origins_.Handle([](const auto&, registry::BlobSink& sink, auto&) {
    return FakeOrigins::Send("evil!!!", sink);
  });
  const auto answer = Watch(UrlOf("content"))->Wait();
  EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
  EXPECT_THAT(std::string(base::Message(answer.status())), HasSubstr("registry.lab"));
  EXPECT_FALSE(storage_->Find(base::Digest::Of("content")));
  EXPECT_THAT(swarm_.seeds(), IsEmpty());
  EXPECT_EQ(storage_->GetUsage().bytes, 0);
  EXPECT_EQ(Metric("eagle_seeder_origin_fetches_total{result=\"wrong_bytes\"}"), "1");
}

TEST_F(LayerFetchesTest, ALayerThatDoesNotFitIsResourceExhausted) {
  const std::string big(2 << 20, 'x');
  origins_.Put(big);
  EXPECT_TRUE(absl::IsResourceExhausted(Watch(UrlOf(big))->Wait().status()));
  EXPECT_EQ(Metric("eagle_seeder_origin_fetches_total{result=\"no_space\"}"), "1");
}

TEST_F(LayerFetchesTest, AFailureIsRememberedForAWhile) {
  EXPECT_TRUE(absl::IsNotFound(Watch(UrlOf("content"))->Wait().status()));
  origins_.Put("content");
  EXPECT_TRUE(absl::IsNotFound(Watch(UrlOf("content"))->Wait().status()));
  EXPECT_EQ(origins_.asked().size(), 1u);
  clock_.Advance(options_.failure_memory);
  EXPECT_TRUE(Watch(UrlOf("content"))->Wait().ok());
}

TEST_F(LayerFetchesTest, WhatOneRepositoryRefusesAnotherMayGive) {
  absl::Notification go;
  origins_.Handle([&](const LayerRequest& request, registry::BlobSink& sink, auto&) {
    if (request.repositories.front() != "private/app") return FakeOrigins::Send("content", sink);
    go.WaitForNotification();
    return absl::PermissionDeniedError("credentials");
  });
  const auto refused = Watch(UrlOf("content", "private/app"));
  const auto served = Watch(UrlOf("content", "public/app"));
  go.Notify();
  EXPECT_TRUE(absl::IsPermissionDenied(refused->Wait().status()));
  EXPECT_TRUE(served->Wait().ok());
}

TEST_F(LayerFetchesTest, AnAdoptedLayerGetsItsTorrentWithoutTheRegistry) {
  origins_.Put("content");
  ASSERT_TRUE(Watch(UrlOf("content"))->Wait().ok());
  ASSERT_TRUE(storage_->SetMetainfo(base::Digest::Of("content"), "").ok());
  const auto answer = Watch(UrlOf("content"))->Wait();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->metainfo, TorrentOf("content"));
  EXPECT_EQ(storage_->Find(base::Digest::Of("content"))->metainfo, TorrentOf("content"));
  EXPECT_EQ(origins_.asked().size(), 1u);
  EXPECT_EQ(swarm_.seeds().size(), 2u);
}

TEST_F(LayerFetchesTest, AskingIsAUse) {
  for (const char* content : {"one", "two"}) {
    origins_.Put(content);
    ASSERT_TRUE(Watch(UrlOf(content))->Wait().ok());
  }
  clock_.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(Watch(UrlOf("one"))->Wait().ok());
  EXPECT_EQ(storage_->List()[0].digest, base::Digest::Of("one"));
}

TEST_F(LayerFetchesTest, TheOwnerFetchesItself) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("a:1");
  origins_.Put(content);
  EXPECT_TRUE(Watch(UrlOf(content))->Wait().ok());
  EXPECT_THAT(others_.asked(), IsEmpty());
}

TEST_F(LayerFetchesTest, PassesOnToTheOwnerAndJoinsTheSwarm) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  absl::Notification go;
  others_.Handle([&](const std::string&, const LayerRequest& request,
                     const ProgressCallback& progress, auto&) -> OtherSeederAnswer {
    EXPECT_EQ(request, UrlOf(content));
    progress(3, 8);
    go.WaitForNotification();
    return {true, LayerAnswer{TorrentOf(content), 0, {"10.0.0.2:61008"}}};
  });
  const auto observer = Watch(UrlOf(content));
  EXPECT_TRUE(observer->WaitProgress(3, 8));
  go.Notify();
  const auto answer = observer->Wait();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->metainfo, TorrentOf(content));
  EXPECT_THAT(answer->peers, ElementsAre("10.0.0.2:61008"));
  EXPECT_THAT(others_.asked(), ElementsAre("b:1"));
  EXPECT_THAT(origins_.asked(), IsEmpty());
  const auto download = swarm_.FirstDownload();
  ASSERT_TRUE(download);
  EXPECT_EQ(download->metainfo, TorrentOf(content));
  EXPECT_THAT(download->peers, ElementsAre("10.0.0.2:61008"));
  EXPECT_EQ(Metric("eagle_seeder_passed_on_total{result=\"ok\"}"), "1");
}

TEST_F(LayerFetchesTest, FetchesItselfWhenTheOwnerIsNotHealthy) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  origins_.Put(content);
  const auto answer = Watch(UrlOf(content))->Wait();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(others_.asked(), ElementsAre("b:1"));
  EXPECT_THAT(answer->peers, ElementsAre("10.0.0.1:61008"));
  EXPECT_EQ(Metric("eagle_seeder_passed_on_total{result=\"unhealthy\"}"), "1");
}

TEST_F(LayerFetchesTest, AnUnhealthySeederIsPassedOverForAWhile) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  EXPECT_FALSE(Watch(UrlOf(content))->Wait().ok());
  clock_.Advance(options_.failure_memory);
  EXPECT_FALSE(Watch(UrlOf(content))->Wait().ok());
  EXPECT_EQ(others_.asked().size(), 1u);
  clock_.Advance(options_.unhealthy_memory);
  EXPECT_FALSE(Watch(UrlOf(content))->Wait().ok());
  EXPECT_EQ(others_.asked().size(), 2u);
}

TEST_F(LayerFetchesTest, TheAnswerOfAHealthyOwnerIsFinal) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  origins_.Put(content);
  others_.Handle([](const auto&, const auto&, const auto&, auto&) -> OtherSeederAnswer {
    return {true, absl::UnavailableError("registry sent wrong bytes")};
  });
  EXPECT_TRUE(absl::IsUnavailable(Watch(UrlOf(content))->Wait().status()));
  EXPECT_THAT(origins_.asked(), IsEmpty());
}

TEST_F(LayerFetchesTest, ATorrentOfAnotherLayerIsRefused) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  others_.Handle([](const auto&, const auto&, const auto&, auto&) -> OtherSeederAnswer {
    return {true, LayerAnswer{TorrentOf("another layer"), 0, {}}};
  });
  EXPECT_TRUE(absl::IsUnavailable(Watch(UrlOf(content))->Wait().status()));
  EXPECT_FALSE(storage_->Find(base::Digest::Of(content)));
}

TEST_F(LayerFetchesTest, ARequestFromASeederIsNeverPassedOn) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  origins_.Put(content);
  EXPECT_TRUE(Watch(UrlOf(content), Hop::kFromSeeder)->Wait().ok());
  EXPECT_THAT(others_.asked(), IsEmpty());
}

TEST_F(LayerFetchesTest, ARequestFromASeederEndsThePassingOn) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  origins_.Put(content);
  // Two seeders that each take the other for the owner would wait for each other for ever.
  others_.Handle([](const auto&, const auto&, const auto&, registry::Cancellation& cancellation) {
    while (cancellation.Sleep(std::chrono::seconds(1))) {
    }
    return OtherSeederAnswer{false, absl::CancelledError("cancelled")};
  });
  const auto node = Watch(UrlOf(content));
  ASSERT_TRUE(others_.WaitAsked(1));
  const auto seeder = Watch(UrlOf(content), Hop::kFromSeeder);
  EXPECT_TRUE(seeder->Wait().ok());
  EXPECT_TRUE(node->Wait().ok());
  EXPECT_EQ(origins_.asked().size(), 1u);
}

TEST_F(LayerFetchesTest, APartialLayerFromTheSwarmIsFetchedAnewWhenTheOwnerIsGone) {
  AmongSeeders("a:1");
  const std::string content = OwnedBy("b:1");
  const base::Digest digest = base::Digest::Of(content);
  origins_.Put(content);
  ASSERT_TRUE(storage_
                  ->BeginDownload(digest, static_cast<std::int64_t>(content.size()),
                                  TorrentOf(content), "registry.lab/library/app")
                  .ok());
  EXPECT_TRUE(Watch(UrlOf(content))->Wait().ok());
  EXPECT_THAT(swarm_.removed(), ElementsAre(digest));
  EXPECT_TRUE(storage_->Find(digest)->complete);
}

TEST_F(LayerFetchesTest, StopAnswersEverybodyAndEndsTheFetch) {
  origins_.Handle([](const auto&, auto&, registry::Cancellation& cancellation) {
    while (cancellation.Sleep(std::chrono::seconds(1))) {
    }
    return absl::CancelledError("the fetch was cancelled");
  });
  const auto observer = Watch(UrlOf("content"));
  ASSERT_TRUE(origins_.WaitAsked(1));
  fetches_->Stop();
  EXPECT_TRUE(absl::IsCancelled(observer->Wait().status()));
  EXPECT_TRUE(absl::IsCancelled(Watch(UrlOf("content"))->Wait().status()));
  fetches_.reset();
  EXPECT_EQ(observer->ends(), 1);
}

}  // namespace
}  // namespace eagle::seeder
