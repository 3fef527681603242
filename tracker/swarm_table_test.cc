#include "tracker/swarm_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "lib/testing/fake_clock.h"

namespace eagle::tracker {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

AnnounceRequest MakeRequest(int peer, char swarm = 's') {
  AnnounceRequest request;
  request.info_hash.fill(static_cast<std::uint8_t>(swarm));
  request.peer_id[0] = static_cast<std::uint8_t>(peer);
  request.peer_id[1] = static_cast<std::uint8_t>(peer >> 8);
  request.port = 61007;
  return request;
}

IpAddress AddressOf(int peer) {
  return IpAddress(
      IpAddress::V4{10, 1, static_cast<std::uint8_t>(peer >> 8), static_cast<std::uint8_t>(peer)});
}

class SwarmTableTest : public ::testing::Test {
 protected:
  AnnounceResult Announce(int peer, char swarm = 's') { return Announce(MakeRequest(peer, swarm)); }

  AnnounceResult Announce(const AnnounceRequest& request) {
    const int peer = request.peer_id[0] + (request.peer_id[1] << 8);
    auto result = table().Announce(request, AddressOf(peer));
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  }

  AnnounceResult AnnounceAs(int peer, Event event, bool seed = false) {
    AnnounceRequest request = MakeRequest(peer);
    request.event = event;
    request.seed = seed;
    return Announce(request);
  }

  // Made at the first use, so that a test can change `options_` before.
  SwarmTable& table() {
    if (!table_) table_ = std::make_unique<SwarmTable>(options_, policy_, clock_);
    return *table_;
  }

  testing::FakeClock clock_;
  RandomPolicy policy_;
  SwarmTableOptions options_;
  std::unique_ptr<SwarmTable> table_;
};

TEST_F(SwarmTableTest, TellsLaterPeersOfEarlierOnes) {
  EXPECT_TRUE(Announce(1).peers.empty());
  const AnnounceResult second = Announce(2);
  ASSERT_EQ(second.peers.size(), 1U);
  EXPECT_EQ(second.peers[0].endpoint.address, AddressOf(1));
  EXPECT_EQ(second.peers[0].endpoint.port, 61007);
  EXPECT_EQ(second.peers[0].id, MakeRequest(1).peer_id);
  EXPECT_EQ(second.counts.leeches, 2U);
}

TEST_F(SwarmTableTest, SwarmsDoNotMix) {
  Announce(1, 'a');
  EXPECT_TRUE(Announce(2, 'b').peers.empty());
  EXPECT_EQ(table().Totals().swarms, 2U);
}

TEST_F(SwarmTableTest, APeerThatStopsIsGoneAtOnceAndSoIsItsSwarm) {
  Announce(1);
  EXPECT_TRUE(AnnounceAs(1, Event::kStopped).peers.empty());
  EXPECT_EQ(table().Totals().swarms, 0U);
  EXPECT_EQ(table().Totals().leeches, 0U);
  EXPECT_TRUE(Announce(2).peers.empty());
}

TEST_F(SwarmTableTest, AGoodbyeToAnUnknownSwarmMakesNone) {
  AnnounceAs(1, Event::kStopped);
  EXPECT_EQ(table().Totals().swarms, 0U);
}

TEST_F(SwarmTableTest, SilentPeersAreForgotten) {
  Announce(1);
  clock_.Advance(options_.peer_timeout - seconds(1));
  EXPECT_EQ(Announce(2).peers.size(), 1U);
  clock_.Advance(seconds(1));
  const AnnounceResult third = Announce(3);
  ASSERT_EQ(third.peers.size(), 1U);
  EXPECT_EQ(third.peers[0].endpoint.address, AddressOf(2));
  EXPECT_EQ(table().Totals().leeches, 2U);
}

TEST_F(SwarmTableTest, AnAnnounceKeepsAPeerAlive) {
  Announce(1);
  clock_.Advance(minutes(11));
  Announce(1);
  clock_.Advance(minutes(11));
  EXPECT_EQ(Announce(2).peers.size(), 1U);
}

TEST_F(SwarmTableTest, SweepDropsSwarmsThatNobodyAsksFor) {
  Announce(1, 'a');
  Announce(2, 'b');
  clock_.Advance(minutes(6));
  Announce(2, 'b');
  clock_.Advance(minutes(6));
  table().Sweep();
  EXPECT_EQ(table().Totals().swarms, 1U);
  EXPECT_EQ(table().Totals().leeches, 1U);
}

TEST_F(SwarmTableTest, ScrapeCountsWithoutSilentPeers) {
  AnnounceAs(1, Event::kStarted);
  AnnounceAs(1, Event::kCompleted, true);
  Announce(2);
  SwarmCounts counts = table().Scrape(MakeRequest(1).info_hash);
  EXPECT_EQ(counts.seeds, 1U);
  EXPECT_EQ(counts.leeches, 1U);
  EXPECT_EQ(counts.completed, 1U);
  clock_.Advance(options_.peer_timeout);
  counts = table().Scrape(MakeRequest(1).info_hash);
  EXPECT_EQ(counts.peers(), 0U);
  EXPECT_EQ(table().Scrape(MakeRequest(1, 'x').info_hash).peers(), 0U);
}

TEST_F(SwarmTableTest, EverybodyAnnouncesOftenInAYoungSwarm) {
  for (int peer = 0; peer < 20; ++peer) EXPECT_EQ(Announce(peer).interval, seconds(5));
  clock_.Advance(seconds(29));
  for (int peer = 0; peer < 20; ++peer) EXPECT_EQ(Announce(peer).interval, seconds(5));
  EXPECT_EQ(AnnounceAs(7, Event::kCompleted, true).interval, seconds(5));
}

TEST_F(SwarmTableTest, YoungIsThirtySecondsWhateverTheIntervalIs) {
  options_.min_interval = seconds(1);
  for (int peer = 0; peer < 10; ++peer) Announce(peer);
  clock_.Advance(seconds(29));
  EXPECT_EQ(Announce(0).interval, seconds(1));
  clock_.Advance(seconds(1));
  EXPECT_EQ(Announce(0).interval, seconds(5));
}

TEST_F(SwarmTableTest, TheFirstOfASwarmLearnsOfTheOthersAtItsNextAnnounce) {
  const AnnounceResult first = Announce(0);
  EXPECT_TRUE(first.peers.empty());
  for (int peer = 1; peer < 10; ++peer) Announce(peer);
  clock_.Advance(first.interval);
  EXPECT_EQ(Announce(0).peers.size(), 9U);
}

TEST_F(SwarmTableTest, TheIntervalGrowsWithTheTimeThatAPeerIsThere) {
  for (int peer = 0; peer < 10; ++peer) Announce(peer);
  std::vector<std::int64_t> intervals;
  for (int i = 0; i < 6; ++i) {
    clock_.Advance(minutes(5));
    intervals.push_back(Announce(0).interval.count());
    Announce(1);
    for (int peer = 2; peer < 10; ++peer) Announce(peer);
  }
  EXPECT_THAT(intervals, ::testing::ElementsAre(50, 100, 150, 200, 250, 300));
  clock_.Advance(minutes(5));
  EXPECT_EQ(Announce(0).interval, seconds(300));
  EXPECT_EQ(Announce(0).min_interval, seconds(5));
}

TEST_F(SwarmTableTest, APeerThatIsNewInAnOldSwarmAnnouncesOften) {
  for (int peer = 0; peer < 10; ++peer) AnnounceAs(peer, Event::kStarted, true);
  clock_.Advance(minutes(10));
  EXPECT_EQ(Announce(99).interval, seconds(5));
  EXPECT_EQ(AnnounceAs(3, Event::kStarted, true).interval, seconds(5)) << "started again";
}

TEST_F(SwarmTableTest, ALonelyLeechAnnouncesOftenAndALonelySeedDoesNot) {
  AnnounceAs(1, Event::kStarted);
  AnnounceAs(2, Event::kStarted, true);
  clock_.Advance(minutes(10));
  EXPECT_EQ(AnnounceAs(1, Event::kNone).interval, seconds(5));
  EXPECT_EQ(AnnounceAs(2, Event::kNone, true).interval, seconds(100));
}

TEST_F(SwarmTableTest, RoundsIntervalsUpToSeconds) {
  options_.min_interval = std::chrono::milliseconds(1500);
  EXPECT_EQ(Announce(1).interval, seconds(2));
}

TEST_F(SwarmTableTest, HandsOutTheDefaultTheWantedOrTheMostNumber) {
  options_.default_peers = 7;
  options_.max_peers = 12;
  for (int peer = 0; peer < 40; ++peer) Announce(peer);
  AnnounceRequest request = MakeRequest(99);
  EXPECT_EQ(Announce(request).peers.size(), 7U);
  request.wanted = 3;
  EXPECT_EQ(Announce(request).peers.size(), 3U);
  request.wanted = 0;
  EXPECT_EQ(Announce(request).peers.size(), 0U);
  request.wanted = 1'000'000;
  EXPECT_EQ(Announce(request).peers.size(), 12U);
}

TEST_F(SwarmTableTest, RefusesSwarmsBeyondTheLimitUntilOneIsDropped) {
  options_.max_swarms = 2;
  Announce(1, 'a');
  Announce(1, 'b');
  const auto refused = table().Announce(MakeRequest(1, 'c'), AddressOf(1));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(base::Message(refused.status())), ::testing::HasSubstr("limits.swarms"));
  Announce(2, 'a');
  EXPECT_EQ(table().Totals().swarms, 2U);
  AnnounceRequest stop = MakeRequest(1, 'b');
  stop.event = Event::kStopped;
  Announce(stop);
  Announce(1, 'c');
}

TEST_F(SwarmTableTest, AFullSwarmServesPeersThatItDoesNotList) {
  options_.max_peers_per_swarm = 3;
  for (int peer = 0; peer < 3; ++peer) EXPECT_TRUE(Announce(peer).listed);
  const AnnounceResult extra = Announce(3);
  EXPECT_FALSE(extra.listed);
  EXPECT_EQ(extra.peers.size(), 3U);
  EXPECT_EQ(extra.interval, seconds(300));
  EXPECT_EQ(extra.counts.leeches, 3U);
  EXPECT_TRUE(Announce(0).listed) << "who is there stays";
}

TEST_F(SwarmTableTest, BoundsThePeersOfAllSwarmsTogether) {
  options_.max_total_peers = 3;
  for (const char swarm : {'a', 'b', 'c'}) EXPECT_TRUE(Announce(1, swarm).listed);
  EXPECT_FALSE(Announce(1, 'd').listed);
  EXPECT_EQ(table().Totals().swarms, 3U) << "a swarm that lists nobody is not kept";
}

// For the thread sanitizer, and for the sums of the totals.
TEST_F(SwarmTableTest, ThreadsMayAnnounceScrapeAndSweepTogether) {
  table();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      for (int i = 0; i < 2000; ++i) {
        const char swarm = static_cast<char>('a' + i % 3);
        AnnounceRequest request = MakeRequest(thread * 500 + i % 500, swarm);
        request.seed = i % 2 == 0;
        request.event = i % 7 == 0 ? Event::kStopped : Event::kNone;
        Announce(request);
        (void)table().Scrape(request.info_hash);
        if (i % 500 == 0) table().Sweep();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::size_t peers = 0;
  for (const char swarm : {'a', 'b', 'c'})
    peers += table().Scrape(MakeRequest(0, swarm).info_hash).peers();
  EXPECT_EQ(table().Totals().seeds + table().Totals().leeches, peers);
  clock_.Advance(options_.peer_timeout);
  table().Sweep();
  EXPECT_EQ(table().Totals().swarms, 0U);
  EXPECT_EQ(table().Totals().seeds + table().Totals().leeches, 0U);
}

}  // namespace
}  // namespace eagle::tracker
