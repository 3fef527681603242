#include "sidecar/metainfo_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/rendezvous.h"
#include "lib/testing/fake_clock.h"
#include "sidecar/sidecar_fakes.h"

namespace eagle::sidecar {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MetainfoFinderTest : public ::testing::Test {
 protected:
  void Find() {
    finder_ = std::make_shared<MetainfoFinder>(
        layer_.wanted, client_, seeders_, clock_, metrics_, tasks_.executor(),
        MetainfoFinder::Listener{
            .progress = [this](std::int64_t bytes) { progress_.push_back(bytes); },
            .found =
                [this](MetainfoFinder::Found found) {
                  found_ = std::move(found);
                  ++ends_;
                },
            .failed =
                [this](Failure failure) {
                  failure_ = std::move(failure);
                  ++ends_;
                }});
    finder_->Start();
    tasks_.RunAll();
  }
  void Say(MetainfoClient::Message message) {
    client_.last().listener.message(std::move(message));
    tasks_.RunAll();
  }
  void End(const absl::Status& status) {
    client_.last().listener.end(status);
    tasks_.RunAll();
  }
  void Wait(milliseconds time) {
    for (milliseconds waited{0}; waited < time; waited += milliseconds(100)) {
      clock_.Advance(milliseconds(100));
      finder_->Tick();
      tasks_.RunAll();
    }
  }

  const std::vector<std::string> addresses_{"a:1", "b:1", "c:1"};
  TestLayer layer_ = MakeTestLayer("a layer");
  testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  SidecarMetrics metrics_{registry_, base::GiB(1)};
  ManualExecutor tasks_;
  FakeMetainfoClient client_;
  Seeders seeders_{addresses_, clock_};
  const std::vector<std::size_t> order_ = base::RendezvousOrder(layer_.digest.str(), addresses_);
  std::shared_ptr<MetainfoFinder> finder_;
  std::vector<std::int64_t> progress_;
  MetainfoFinder::Found found_;
  Failure failure_;
  int ends_ = 0;
};

TEST_F(MetainfoFinderTest, AsksTheFirstSeederOfTheRendezvousOrder) {
  Find();
  ASSERT_EQ(client_.calls.size(), 1U);
  EXPECT_EQ(client_.last().seeder, order_[0]);
  EXPECT_EQ(client_.last().url, "https://registry.lab/v2/app/blobs/" + layer_.digest.str());
  Say({.bytes_fetched = 3, .metainfo = "", .peers = {}});
  Say({.bytes_fetched = 7, .metainfo = layer_.metainfo, .peers = {"10.0.0.1:61008"}});
  EXPECT_THAT(progress_, ElementsAre(3));
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(found_.metainfo, layer_.metainfo);
  EXPECT_THAT(found_.peers, ElementsAre("10.0.0.1:61008"));
  End(absl::OkStatus());
  EXPECT_EQ(ends_, 1);
}

TEST_F(MetainfoFinderTest, ARefusedConnectionGoesToTheNextSeederAtOnce) {
  Find();
  End(absl::UnavailableError("connection refused"));
  ASSERT_EQ(client_.calls.size(), 2U);
  EXPECT_EQ(client_.last().seeder, order_[1]);
  Say({.bytes_fetched = 7, .metainfo = layer_.metainfo, .peers = {}});
  EXPECT_EQ(ends_, 1);

  // It is asked last for a while, then again in its turn.
  Find();
  EXPECT_EQ(client_.last().seeder, order_[1]);
  clock_.Advance(Seeders::kRetryAfter);
  Find();
  EXPECT_EQ(client_.last().seeder, order_[0]);
}

TEST_F(MetainfoFinderTest, ASeederWithoutConnectionIsNotWaitedForLong) {
  client_.connects = false;
  Find();
  Wait(milliseconds(600));
  EXPECT_EQ(client_.calls.size(), 1U);
  Wait(milliseconds(100));
  ASSERT_EQ(client_.calls.size(), 2U);
  EXPECT_TRUE(client_.calls[0]->cancelled);
  EXPECT_EQ(client_.last().seeder, order_[1]);
}

TEST_F(MetainfoFinderTest, SeedersThatNobodyReachesCostAnImageOnce) {
  client_.connects = false;
  Find();
  Wait(milliseconds(2100));
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(failure_.reason, FailureReason::kNoSeeder);
  // The next layer does not even ask.
  Find();
  EXPECT_EQ(ends_, 2);
  EXPECT_EQ(failure_.reason, FailureReason::kNoSeeder);
  EXPECT_EQ(client_.calls.size(), 3U);
  // Once there is a connection again, it does.
  client_.connects = true;
  Find();
  EXPECT_EQ(client_.calls.size(), 4U);
  client_.connects = false;
  clock_.Advance(Seeders::kSpareFor);
  Find();
  EXPECT_EQ(client_.calls.size(), 5U);
}

TEST_F(MetainfoFinderTest, SeedersThatSayNothingAreSparedThoughThereIsAConnection) {
  Find();
  Wait(milliseconds(2700));
  EXPECT_EQ(ends_, 1);
  Find();
  EXPECT_EQ(ends_, 2);
  EXPECT_EQ(client_.calls.size(), 3U);
  clock_.Advance(Seeders::kSpareFor);
  Find();
  EXPECT_EQ(client_.calls.size(), 4U);
  Say({.bytes_fetched = 1, .metainfo = "", .peers = {}});
  EXPECT_EQ(ends_, 2);
}

TEST_F(MetainfoFinderTest, SeedersThatRefuseAreAskedEachTime) {
  for (std::size_t layer = 1; layer <= 3; ++layer) {
    Find();
    for (int i = 0; i < 3; ++i) End(absl::UnavailableError("connection refused"));
    EXPECT_EQ(client_.calls.size(), 3 * layer);
    EXPECT_EQ(failure_.reason, FailureReason::kNoSeeder);
  }
}

TEST_F(MetainfoFinderTest, ASeederThatFallsSilentCostsTwoSeconds) {
  Find();
  Wait(milliseconds(800));
  Say({.bytes_fetched = 1, .metainfo = "", .peers = {}});
  Wait(milliseconds(1900));
  EXPECT_EQ(client_.calls.size(), 1U);
  Wait(milliseconds(100));
  ASSERT_EQ(client_.calls.size(), 2U);
  EXPECT_EQ(client_.last().seeder, order_[1]);
  // What the first one still says changes nothing.
  client_.calls[0]->listener.message(
      {.bytes_fetched = 2, .metainfo = layer_.metainfo, .peers = {}});
  tasks_.RunAll();
  EXPECT_EQ(ends_, 0);
}

TEST_F(MetainfoFinderTest, AnOriginThatFailsIsNotTheSeedersFault) {
  Find();
  Say({.bytes_fetched = 1, .metainfo = "", .peers = {}});
  End(absl::UnavailableError("origin unreachable"));
  EXPECT_EQ(client_.last().seeder, order_[1]);
  Find();
  EXPECT_EQ(client_.last().seeder, order_[0]);
}

TEST_F(MetainfoFinderTest, ADeniedSourceGoesToTheNextSourceAtTheSameSeeder) {
  layer_.wanted.sources = {{"r1", "x"}, {"r2", "y"}};
  Find();
  finder_->AddSources({{"r2", "y"}, {"r3", "z"}});
  End(absl::NotFoundError("no such blob"));
  EXPECT_EQ(client_.last().seeder, order_[0]);
  EXPECT_THAT(client_.last().url, HasSubstr("https://r2/v2/y/"));
  End(absl::UnavailableError("gone"));
  EXPECT_EQ(client_.last().seeder, order_[1]);
  EXPECT_THAT(client_.last().url, HasSubstr("https://r2/v2/y/"));
  End(absl::PermissionDeniedError("not yours"));
  EXPECT_THAT(client_.last().url, HasSubstr("https://r3/v2/z/"));
  End(absl::NotFoundError("no such blob"));
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(failure_.reason, FailureReason::kDenied);
  EXPECT_EQ(client_.calls.size(), 4U);
}

TEST_F(MetainfoFinderTest, WithoutASourceNobodyIsAsked) {
  layer_.wanted.sources.clear();
  Find();
  EXPECT_EQ(failure_.reason, FailureReason::kDenied);
  EXPECT_TRUE(client_.calls.empty());
}

TEST_F(MetainfoFinderTest, FailsWhenNoSeederIsLeft) {
  Find();
  for (int i = 0; i < 3; ++i) End(absl::UnavailableError("refused"));
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(failure_.reason, FailureReason::kNoSeeder);
  EXPECT_THAT(failure_.message, HasSubstr("refused"));
}

TEST_F(MetainfoFinderTest, AForeignTorrentGoesToTheNextSeeder) {
  const TestLayer other = MakeTestLayer("another layer");
  Find();
  Say({.bytes_fetched = 7, .metainfo = other.metainfo, .peers = {}});
  EXPECT_EQ(client_.last().seeder, order_[1]);
  Say({.bytes_fetched = 7, .metainfo = "junk", .peers = {}});
  EXPECT_EQ(client_.last().seeder, order_[2]);
  End(absl::OkStatus());
  EXPECT_EQ(failure_.reason, FailureReason::kMismatch);
}

TEST_F(MetainfoFinderTest, ATorrentOfAnotherSizeThanTheManifestsIsForeign) {
  layer_.wanted.size_bytes += 1;
  client_.answer = [this](FakeMetainfoClient::FakeCall& call) {
    call.listener.message({.bytes_fetched = 0, .metainfo = layer_.metainfo, .peers = {}});
  };
  Find();
  EXPECT_EQ(failure_.reason, FailureReason::kMismatch);
}

TEST_F(MetainfoFinderTest, DestroyingItCancelsTheCall) {
  Find();
  finder_.reset();
  EXPECT_TRUE(client_.last().cancelled);
  Say({.bytes_fetched = 7, .metainfo = layer_.metainfo, .peers = {}});
  EXPECT_EQ(ends_, 0);
}

}  // namespace
}  // namespace eagle::sidecar
