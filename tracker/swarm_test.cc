#include "tracker/swarm.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "lib/testing/fake_clock.h"

namespace eagle::tracker {
namespace {

using std::chrono::seconds;

Peer MakePeer(std::uint8_t number, bool seed = false) {
  Peer peer;
  peer.endpoint = {IpAddress(IpAddress::V4{10, 0, 0, number}), 61007};
  peer.id.fill(number);
  peer.key = 7;
  peer.seed = seed;
  return peer;
}

class SwarmTest : public ::testing::Test {
 protected:
  const Peer& Announce(const Peer& peer, Event event = Event::kNone) {
    return swarm_.Announce(peer, event, clock_.Now());
  }

  testing::FakeClock clock_;
  Swarm swarm_;
};

TEST_F(SwarmTest, CountsSeedsAndLeechesOfBothFamilies) {
  Announce(MakePeer(1));
  Announce(MakePeer(2, true));
  Peer six = MakePeer(3);
  six.endpoint.address = IpAddress::Parse("fd00::3").value();
  Announce(six);
  EXPECT_EQ(swarm_.counts().leeches, 2U);
  EXPECT_EQ(swarm_.counts().seeds, 1U);
  EXPECT_EQ(swarm_.pool(Family::kV6, Role::kLeech).size(), 1U);
  EXPECT_EQ(swarm_.pool(Family::kV4, Role::kSeed).front()->endpoint, MakePeer(2).endpoint);
}

TEST_F(SwarmTest, APeerThatAnnouncesAgainIsOnePeer) {
  Announce(MakePeer(1));
  const auto joined = clock_.Now();
  clock_.Advance(seconds(10));
  const Peer& peer = Announce(MakePeer(1, true), Event::kCompleted);
  EXPECT_EQ(peer.joined, joined);
  EXPECT_EQ(peer.last_seen, clock_.Now());
  EXPECT_EQ(swarm_.counts().seeds, 1U);
  EXPECT_EQ(swarm_.counts().leeches, 0U);
}

TEST_F(SwarmTest, AnotherIdOnTheSameEndpointIsANewLifeOfThatPeer) {
  Announce(MakePeer(1));
  clock_.Advance(seconds(10));
  Peer again = MakePeer(1);
  again.id.fill(99);
  EXPECT_EQ(Announce(again).joined, clock_.Now());
  EXPECT_EQ(swarm_.counts().peers(), 1U);
  EXPECT_EQ(swarm_.Find(again.endpoint)->id, again.id);
}

TEST_F(SwarmTest, OnlyThePeerItselfCanLeave) {
  Announce(MakePeer(1));
  Peer former = MakePeer(1);
  former.id.fill(99);
  swarm_.Leave(former);
  Peer stranger = MakePeer(1);
  stranger.key = 8;
  swarm_.Leave(stranger);
  swarm_.Leave(MakePeer(2));
  EXPECT_EQ(swarm_.counts().peers(), 1U);
  swarm_.Leave(MakePeer(1));
  EXPECT_EQ(swarm_.counts().peers(), 0U);
}

TEST_F(SwarmTest, CountsEveryCompletionOnce) {
  Announce(MakePeer(1), Event::kStarted);
  Announce(MakePeer(1, true), Event::kCompleted);
  Announce(MakePeer(1, true), Event::kCompleted);
  Announce(MakePeer(2, true), Event::kStarted);
  EXPECT_EQ(swarm_.counts().completed, 1U);
}

TEST_F(SwarmTest, ExpiresInTheOrderOfTheLastAnnounce) {
  Announce(MakePeer(1));
  clock_.Advance(seconds(1));
  Announce(MakePeer(2));
  clock_.Advance(seconds(1));
  Announce(MakePeer(1));
  swarm_.Expire(clock_.Now() - seconds(1));
  EXPECT_EQ(swarm_.Find(MakePeer(2).endpoint), nullptr);
  EXPECT_NE(swarm_.Find(MakePeer(1).endpoint), nullptr);
}

// A thousand random changes, checked against the plain set of what must be there.
TEST_F(SwarmTest, PoolsHoldExactlyThePeersThatAreThere) {
  std::mt19937 random(1);
  std::set<std::uint8_t> seeds;
  std::set<std::uint8_t> leeches;
  for (int i = 0; i < 1000; ++i) {
    const auto number = static_cast<std::uint8_t>(random() % 40);
    const bool seed = random() % 2 == 0;
    seeds.erase(number);
    leeches.erase(number);
    if (random() % 3 == 0) {
      swarm_.Leave(MakePeer(number));
    } else {
      Announce(MakePeer(number, seed));
      (seed ? seeds : leeches).insert(number);
    }
    const auto pool = [&](Role role) {
      std::set<std::uint8_t> numbers;
      for (const Peer* peer : swarm_.pool(Family::kV4, role)) numbers.insert(peer->id[0]);
      EXPECT_EQ(numbers.size(), swarm_.pool(Family::kV4, role).size());
      return numbers;
    };
    ASSERT_EQ(pool(Role::kSeed), seeds);
    ASSERT_EQ(pool(Role::kLeech), leeches);
  }
}

}  // namespace
}  // namespace eagle::tracker
