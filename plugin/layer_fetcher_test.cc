#include "plugin/layer_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "plugin/testing/fake_containerd.h"
#include "plugin/testing/node.h"
#include "plugin/testing/scripted_sidecar.h"
#include "plugin/testing/wait.h"

// How long layers wait and for whom, with a clock that only the test moves.
namespace eagle::plugin {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::IsEmpty;
using testing::ScriptedSidecar;
using ::testing::SizeIs;
using testing::TestImage;
using Progress = SidecarClient::Progress;

// One layer that containerd waits for.
struct Waiting {
  std::shared_ptr<std::promise<LayerSupply::Outcome>> promise =
      std::make_shared<std::promise<LayerSupply::Outcome>>();
  std::future<LayerSupply::Outcome> outcome = promise->get_future();
  LiveOffsetPtr live = std::make_shared<std::atomic<std::int64_t>>(0);
  std::unique_ptr<LayerSupply::Ticket> ticket;

  [[nodiscard]] bool over() const {
    return outcome.wait_for(milliseconds(0)) == std::future_status::ready;
  }
  Fallback Reason() { return outcome.get().reason; }
};

class LayerFetcherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_.path() + "/cache/blobs");
    store_ = ContentStore::Open(dir_.path() + "/content").value();
    index_.MarkComplete();
    for (const TestImage* image : {&image_, &other_}) {
      std::vector<ManifestLayer> layers;
      for (std::size_t i = 0; i < image->layers.size(); ++i) {
        layers.push_back({.digest = image->layer(i), .size_bytes = image->size(i)});
      }
      index_.Learn(image->digest(), "k8s.io", layers);
      containerd_.AddSource("k8s.io", image->digest(), "registry.example", "team/app");
    }
    Make({});
  }

  void Make(const LayerFetcher::Options& options) {
    fetcher_.reset();
    auto sidecar = std::make_unique<ScriptedSidecar>();
    sidecar_ = sidecar.get();
    fetcher_ = std::make_unique<LayerFetcher>(
        options,
        LayerFetcher::Parts{.store = *store_,
                            .index = index_,
                            .metrics = metrics_,
                            .clock = clock_,
                            .disk_pool = disk_pool_,
                            .hash_pool = hash_pool_,
                            .sources = std::make_unique<SourceFinder>(SourceFinder::Options{
                                .containerd_address = address_, .timeout = milliseconds(20'000)}),
                            .sidecar = std::move(sidecar),
                            .hand_over = std::make_unique<HandOver>(
                                HandOver::Options{.cache_dir = dir_.path() + "/cache"}),
                            .policy = Policy::Create({}, {}).value()});
  }

  Waiting Ask(const TestImage& image, std::size_t i) {
    Waiting waiting;
    waiting.ticket =
        fetcher_->Get({.ref = {.kind = ContentRef::Kind::kLayer,
                               .containerd_namespace = "k8s.io",
                               .digest = image.layer(i)},
                       .size_bytes = image.size(i),
                       .live = waiting.live},
                      [promise = waiting.promise](auto outcome) { promise->set_value(outcome); });
    return waiting;
  }
  Waiting AskUntilFetched(const TestImage& image, std::size_t i) {
    const std::size_t before = sidecar_->fetches();
    Waiting waiting = Ask(image, i);
    EXPECT_NE(sidecar_->AwaitFetch(before), nullptr);
    return waiting;
  }
  void Advance(milliseconds by) {
    clock_.Advance(by);
    fetcher_->Tick();
  }
  // Time goes by, and the sidecar says the same every 250 ms.
  void Hear(std::size_t n, const Progress& progress, milliseconds time) {
    const auto fetch = sidecar_->AwaitFetch(n);
    for (auto passed = milliseconds(0); passed < time; passed += milliseconds(250)) {
      fetch->listener.progress(progress);
      Advance(milliseconds(250));
    }
  }
  // The file is there, and the n-th call says so.
  void Serve(const TestImage& image, std::size_t i, std::size_t n) {
    std::ofstream(dir_.path() + "/cache/blobs/" + image.layer(i).hex(), std::ios::binary)
        << image.layers[i];
    sidecar_->AwaitFetch(n)->listener.end({.bytes_from_seeders = image.size(i)});
  }
  void End(std::size_t n, Fallback reason) {
    sidecar_->AwaitFetch(n)->listener.end({.reason = reason});
  }

  eagle::testing::TempDir dir_;
  const std::string address_ = "unix:" + dir_.path() + "/containerd.sock";
  testing::FakeContainerd containerd_{address_};
  eagle::testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  PluginMetrics metrics_{registry_};
  ManifestIndex index_;
  base::ThreadPool disk_pool_{1};
  base::ThreadPool hash_pool_{1};
  std::unique_ptr<ContentStore> store_;
  const TestImage image_ = TestImage::Make({2 << 20, 100'001, 100'002, 100'003});
  const TestImage other_ = TestImage::Make({100'010, 100'011}, 1);
  ScriptedSidecar* sidecar_ = nullptr;
  std::unique_ptr<LayerFetcher> fetcher_;
};

// The sidecar.

TEST_F(LayerFetcherTest, AHungSidecarCostsOneTimeoutForAllThatWait) {
  Waiting one = AskUntilFetched(image_, 0);
  Waiting two = AskUntilFetched(image_, 1);
  Waiting other = AskUntilFetched(other_, 0);
  Advance(milliseconds(1000));
  EXPECT_FALSE(one.over());
  Advance(milliseconds(1));
  for (Waiting* waiting : {&one, &two, &other})
    EXPECT_EQ(waiting->Reason(), Fallback::kSidecarHung);
  EXPECT_EQ(Ask(image_, 2).Reason(), Fallback::kSidecarHung);
  EXPECT_EQ(Ask(other_, 1).Reason(), Fallback::kSidecarHung);
  EXPECT_EQ(sidecar_->fetches(), 3);
}

TEST_F(LayerFetcherTest, ASidecarThatAnswersAgainIsUsedAgainByTheSameImage) {
  Waiting one = AskUntilFetched(image_, 0);
  Advance(milliseconds(1001));
  EXPECT_EQ(one.Reason(), Fallback::kSidecarHung);
  EXPECT_EQ(Ask(image_, 1).Reason(), Fallback::kSidecarHung);
  sidecar_->AwaitProbe(0)(false);
  EXPECT_EQ(Ask(image_, 2).Reason(), Fallback::kSidecarHung);
  sidecar_->AwaitProbe(1)(true);
  Waiting next = AskUntilFetched(image_, 3);
  Serve(image_, 3, 1);
  EXPECT_NE(next.outcome.get().file, nullptr);
}

TEST_F(LayerFetcherTest, OneCallThatHangsIsNotTheSidecar) {
  Waiting one = AskUntilFetched(image_, 0);
  Waiting other = AskUntilFetched(other_, 0);
  Hear(1, {.bytes_done = 1}, milliseconds(1250));
  EXPECT_EQ(one.Reason(), Fallback::kSidecarHung);
  EXPECT_FALSE(other.over());
  AskUntilFetched(other_, 1);
}

TEST_F(LayerFetcherTest, ASidecarThatIsNotThereCostsNothing) {
  for (std::size_t i = 0; i < 3; ++i) {
    Waiting waiting = AskUntilFetched(image_, i);
    End(i, Fallback::kSidecarUnreachable);
    EXPECT_EQ(waiting.Reason(), Fallback::kSidecarUnreachable);
  }
}

TEST_F(LayerFetcherTest, ASidecarThatIsSlowToRefuseIsAskedByNobodyElse) {
  Waiting one = AskUntilFetched(image_, 0);
  Waiting two = AskUntilFetched(image_, 1);
  Advance(milliseconds(900));
  End(0, Fallback::kSidecarUnreachable);
  EXPECT_EQ(one.Reason(), Fallback::kSidecarUnreachable);
  EXPECT_EQ(two.Reason(), Fallback::kSidecarUnreachable);
  EXPECT_EQ(Ask(image_, 2).Reason(), Fallback::kSidecarUnreachable);
}

TEST_F(LayerFetcherTest, ASidecarThatIsRestartedInMidTransferIsAskedAgain) {
  for (const Fallback way : {Fallback::kSidecarUnreachable, Fallback::kShuttingDown}) {
    Make({});
    Waiting waiting = AskUntilFetched(image_, 0);
    ASSERT_TRUE(Eventually([&] { return sidecar_->prefetches().size() == 1; }));
    Hear(0, {.bytes_done = 1 << 20, .bytes_contiguous = 1000}, milliseconds(250));
    End(0, way);
    // A layer that comes meanwhile waits as well.
    Waiting later = AskUntilFetched(image_, 1);
    EXPECT_EQ(sidecar_->AwaitFetch(1)->layer.digest, image_.layer(1));
    ASSERT_TRUE(Eventually([&] { return sidecar_->prefetches().size() == 2; }));
    End(1, Fallback::kSidecarUnreachable);
    EXPECT_FALSE(waiting.over());
    EXPECT_FALSE(later.over());
    Advance(milliseconds(50));
    ASSERT_NE(sidecar_->AwaitFetch(3), nullptr);
    const std::size_t of_first = sidecar_->AwaitFetch(2)->layer.digest == image_.layer(0) ? 2 : 3;
    // What it shows never goes back.
    Hear(of_first, {.bytes_done = 1 << 19, .bytes_contiguous = 10}, milliseconds(250));
    EXPECT_EQ(waiting.live->load(), 1000);
    Serve(image_, 0, of_first);
    EXPECT_NE(waiting.outcome.get().file, nullptr);
    Serve(image_, 1, of_first == 2 ? 3 : 2);
    EXPECT_NE(later.outcome.get().file, nullptr);
  }
}

TEST_F(LayerFetcherTest, ASidecarThatDoesNotComeBackIsWaitedForTwoTimeouts) {
  Waiting waiting = AskUntilFetched(image_, 0);
  Hear(0, {.bytes_done = 1}, milliseconds(250));
  End(0, Fallback::kSidecarUnreachable);
  std::size_t calls = 1;
  for (int passed = 0; passed < 2000; passed += 50) {
    ASSERT_FALSE(waiting.over()) << passed;
    Advance(milliseconds(50));
    End(calls++, Fallback::kSidecarUnreachable);
  }
  ASSERT_FALSE(waiting.over());
  Advance(milliseconds(50));
  End(calls++, Fallback::kSidecarUnreachable);
  EXPECT_EQ(waiting.Reason(), Fallback::kSidecarUnreachable);
  // From here on it is simply not there.
  Waiting next = AskUntilFetched(image_, 1);
  End(calls, Fallback::kSidecarUnreachable);
  EXPECT_EQ(next.Reason(), Fallback::kSidecarUnreachable);
}

TEST_F(LayerFetcherTest, ASidecarThatBreaksOffTimeAndAgainIsGivenUp) {
  Waiting waiting = AskUntilFetched(image_, 0);
  for (std::size_t n = 0; n < 4; ++n) {
    ASSERT_FALSE(waiting.over());
    ASSERT_NE(sidecar_->AwaitFetch(n), nullptr);
    sidecar_->AwaitFetch(n)->listener.progress({.bytes_done = 1 + static_cast<int>(n)});
    End(n, Fallback::kSidecarUnreachable);
    Advance(milliseconds(50));
  }
  EXPECT_EQ(waiting.Reason(), Fallback::kSidecarUnreachable);
}

// Layers.

TEST_F(LayerFetcherTest, ALayerThatStandsStillComesFromTheRegistry) {
  Waiting waiting = AskUntilFetched(image_, 0);
  Hear(0, {.bytes_done = 500'000}, milliseconds(4000));
  EXPECT_FALSE(waiting.over());
  Hear(0, {.bytes_done = 500'000}, milliseconds(2500));
  EXPECT_EQ(waiting.Reason(), Fallback::kStalled);
}

TEST_F(LayerFetcherTest, ASlowTransferThatMovesIsWaitedFor) {
  Waiting waiting = AskUntilFetched(image_, 0);
  // At the origin, then bytes that no whole piece is made of yet, then pieces.
  constexpr milliseconds kStep{250};
  for (int i = 1; i <= 80; ++i) Hear(0, {.bytes_at_origin = i * 12'500}, kStep);
  for (int i = 1; i <= 80; ++i) {
    Hear(0, {.bytes_received = i * 12'500, .bytes_at_origin = 1'000'000}, kStep);
  }
  for (int i = 1; i <= 80; ++i) {
    Hear(0, {.bytes_done = 1'000'000 + i * 12'500, .bytes_at_origin = 1'000'000}, kStep);
  }
  EXPECT_FALSE(waiting.over());
  Serve(image_, 0, 0);
  EXPECT_NE(waiting.outcome.get().file, nullptr);
}

TEST_F(LayerFetcherTest, ALayerThatTricklesIsGivenUpWithItsImage) {
  Waiting waiting = AskUntilFetched(image_, 0);
  for (int i = 1; i <= 39; ++i) Hear(0, {.bytes_done = i}, milliseconds(250));
  EXPECT_FALSE(waiting.over());
  Hear(0, {.bytes_done = 40}, milliseconds(250));
  EXPECT_EQ(waiting.Reason(), Fallback::kSlow);
  EXPECT_EQ(Ask(image_, 1).Reason(), Fallback::kBudget);
  AskUntilFetched(other_, 0);
}

TEST_F(LayerFetcherTest, ALayerThatBeginsToTrickleIsGivenUp) {
  Waiting waiting = AskUntilFetched(image_, 0);
  Hear(0, {.bytes_done = 1'000'000}, milliseconds(250));
  for (int i = 1; i <= 78; ++i) Hear(0, {.bytes_done = 1'000'000 + i}, milliseconds(250));
  EXPECT_FALSE(waiting.over());
  Hear(0, {.bytes_done = 1'000'100}, milliseconds(250));
  EXPECT_EQ(waiting.Reason(), Fallback::kSlow);
}

TEST_F(LayerFetcherTest, WithoutAMinimumRateATrickleIsWaitedFor) {
  Make({.min_rate = {0}});
  Waiting waiting = AskUntilFetched(image_, 0);
  for (int i = 1; i <= 200; ++i) Hear(0, {.bytes_done = i}, milliseconds(250));
  EXPECT_FALSE(waiting.over());
}

// Images.

TEST_F(LayerFetcherTest, AnImagePaysForWaitingInVainOnlyUpToItsBudget) {
  Make({.stall_timeout = milliseconds(60'000)});
  Waiting waiting = AskUntilFetched(image_, 0);
  Hear(0, {}, milliseconds(5750));
  EXPECT_FALSE(waiting.over());
  Hear(0, {}, milliseconds(250));
  EXPECT_EQ(waiting.Reason(), Fallback::kBudget);
  EXPECT_EQ(Ask(image_, 1).Reason(), Fallback::kBudget);
  EXPECT_EQ(Ask(image_, 2).Reason(), Fallback::kBudget);
  EXPECT_EQ(sidecar_->fetches(), 1);
  AskUntilFetched(other_, 0);
}

TEST_F(LayerFetcherTest, ANewPullOfATrippedImageTriesOneLayer) {
  Make({.stall_timeout = milliseconds(60'000)});
  Waiting waiting = AskUntilFetched(image_, 0);
  Hear(0, {}, milliseconds(6000));
  EXPECT_EQ(waiting.Reason(), Fallback::kBudget);
  // The same pull goes on with its next layer.
  Waiting second = Ask(image_, 1);
  EXPECT_EQ(second.Reason(), Fallback::kBudget);
  // It is pulled again, while the last streams still linger.
  Waiting again = AskUntilFetched(image_, 0);
  EXPECT_EQ(Ask(image_, 2).Reason(), Fallback::kBudget);
  again.ticket->Cancel();
  EXPECT_EQ(again.Reason(), Fallback::kCancelled);
  // A cancelled one has shown nothing.
  Waiting once_more = AskUntilFetched(image_, 0);
  Serve(image_, 0, 2);
  EXPECT_NE(once_more.outcome.get().file, nullptr);
  Waiting healthy = AskUntilFetched(image_, 3);
  EXPECT_FALSE(healthy.over());
}

TEST_F(LayerFetcherTest, ANewPullThatIsInVainTooIsTrippedAgain) {
  Waiting waiting = AskUntilFetched(image_, 0);
  for (int i = 1; i <= 40; ++i) Hear(0, {.bytes_done = i}, milliseconds(250));
  EXPECT_EQ(waiting.Reason(), Fallback::kSlow);
  EXPECT_EQ(Ask(image_, 1).Reason(), Fallback::kBudget);
  Waiting again = AskUntilFetched(image_, 0);
  End(1, Fallback::kNoSeeder);
  EXPECT_EQ(again.Reason(), Fallback::kNoSeeder);
  EXPECT_EQ(Ask(image_, 2).Reason(), Fallback::kBudget);
}

// Others.

TEST_F(LayerFetcherTest, ACancelledLayerReleasesItsTransfer) {
  Waiting waiting = AskUntilFetched(image_, 0);
  waiting.ticket->Cancel();
  EXPECT_EQ(waiting.Reason(), Fallback::kCancelled);
  EXPECT_TRUE(Eventually([&] { return sidecar_->AwaitFetch(0)->cancelled.load(); }));
}

TEST_F(LayerFetcherTest, DeletedBlobsAreToldToTheSidecarInBatches) {
  EXPECT_THAT(sidecar_->deletions(), IsEmpty());
  for (int i = 0; i < 3000; ++i) fetcher_->Deleted(base::Digest::Of(std::to_string(i)));
  EXPECT_TRUE(Eventually([&] {
    std::size_t told = 0;
    for (const auto& call : sidecar_->deletions()) {
      EXPECT_LE(call.size(), 1024U);
      told += call.size();
    }
    return told == 3000;
  }));
  EXPECT_LE(sidecar_->deletions().size(), 100U);
}

}  // namespace
}  // namespace eagle::plugin
