#include "tracker/hand_out_policy.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "lib/base/clock.h"

namespace eagle::tracker {
namespace {

Peer MakePeer(int number, bool seed, bool v6 = false) {
  const auto low = static_cast<std::uint8_t>(number);
  const auto high = static_cast<std::uint8_t>(number >> 8);
  Peer peer;
  peer.endpoint.address =
      v6 ? IpAddress(IpAddress::V6{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low})
         : IpAddress(IpAddress::V4{10, 0, high, low});
  peer.endpoint.port = 61007;
  peer.id[0] = high;
  peer.id[1] = low;
  peer.id[2] = v6 ? 6 : 4;
  peer.seed = seed;
  return peer;
}

class HandOutPolicyTest : public ::testing::Test {
 protected:
  void Add(const Peer& peer) { swarm_.Announce(peer, Event::kStarted, {}); }

  std::vector<const Peer*> Choose(const Peer& requester, std::size_t wanted) {
    std::vector<const Peer*> chosen;
    policy_->Choose(swarm_, requester, wanted, random_, &chosen);
    return chosen;
  }

  std::unique_ptr<HandOutPolicy> policy_ = MakeHandOutPolicy("random").value();
  std::mt19937_64 random_{42};
  Swarm swarm_;
};

TEST_F(HandOutPolicyTest, GivesEachPeerAtMostOnceAndNotTheRequester) {
  for (int i = 0; i < 10; ++i) Add(MakePeer(i, i % 2 == 0));
  for (int round = 0; round < 100; ++round) {
    const auto chosen = Choose(MakePeer(1, false), 50);
    EXPECT_EQ(std::set<const Peer*>(chosen.begin(), chosen.end()).size(), 9U);
    for (const Peer* peer : chosen) EXPECT_NE(peer->endpoint, MakePeer(1, false).endpoint);
  }
}

TEST_F(HandOutPolicyTest, KeepsToTheNumberWanted) {
  for (int i = 0; i < 500; ++i) Add(MakePeer(i, i < 5));
  EXPECT_EQ(Choose(MakePeer(400, false), 0).size(), 0U);
  EXPECT_EQ(Choose(MakePeer(400, false), 50).size(), 50U);
  EXPECT_EQ(Choose(MakePeer(400, false), 600).size(), 499U);
}

TEST_F(HandOutPolicyTest, SeedsGetNoSeeds) {
  for (int i = 0; i < 20; ++i) Add(MakePeer(i, i < 10));
  const auto chosen = Choose(MakePeer(0, true), 50);
  EXPECT_EQ(chosen.size(), 10U);
  for (const Peer* peer : chosen) EXPECT_FALSE(peer->seed);
}

TEST_F(HandOutPolicyTest, APeerWithTwoAddressesDoesNotGetItsOtherOne) {
  Peer other = MakePeer(2, false);
  other.id = MakePeer(1, false).id;
  Add(other);
  Add(MakePeer(1, false));
  Add(MakePeer(3, false));
  EXPECT_EQ(Choose(MakePeer(1, false), 10).size(), 1U);
}

TEST_F(HandOutPolicyTest, APeerDoesNotGetItsOwnEndpointUnderAnotherId) {
  Add(MakePeer(1, false));
  Peer restarted = MakePeer(1, false);
  restarted.id.fill(99);
  EXPECT_TRUE(Choose(restarted, 10).empty());
}

TEST_F(HandOutPolicyTest, ItsOwnFamilyComesFirst) {
  for (int i = 0; i < 10; ++i) {
    Add(MakePeer(i, false));
    Add(MakePeer(i, false, true));
  }
  const auto v4_of = [](const std::vector<const Peer*>& peers) {
    std::size_t count = 0;
    for (const Peer* peer : peers) count += peer->endpoint.address.is_v4() ? 1 : 0;
    return count;
  };
  EXPECT_EQ(v4_of(Choose(MakePeer(99, false), 10)), 10U);
  EXPECT_EQ(v4_of(Choose(MakePeer(99, false, true), 10)), 0U);
  EXPECT_EQ(v4_of(Choose(MakePeer(99, false, true), 14)), 4U);
  EXPECT_EQ(Choose(MakePeer(99, false), 100).size(), 20U);
}

TEST_F(HandOutPolicyTest, EveryPeerIsChosenAboutEquallyOften) {
  constexpr int kPeers = 100;
  constexpr int kRounds = 4000;
  for (int i = 0; i < kPeers; ++i) Add(MakePeer(i, i < 2));
  std::map<PeerId, int> times;
  for (int i = 0; i < kRounds; ++i) {
    for (const Peer* peer : Choose(MakePeer(200, false), 10)) ++times[peer->id];
  }
  ASSERT_EQ(times.size(), static_cast<std::size_t>(kPeers));
  // Expected 400 each; the bounds are more than six standard deviations away.
  for (const auto& [id, count] : times) {
    EXPECT_GT(count, 270);
    EXPECT_LT(count, 530);
  }
}

TEST_F(HandOutPolicyTest, AClientWithThousandsOfEndpointsEndsItsOwnSearch) {
  for (int i = 0; i < 5000; ++i) {
    Peer own = MakePeer(i, false);
    own.id.fill(7);
    Add(own);
  }
  Peer requester = MakePeer(6000, false);
  requester.id.fill(7);
  const auto before = random_;
  EXPECT_EQ(Choose(requester, 50).size(), 0U);
  auto expected = before;
  expected.discard(200);
  bool within = false;
  for (auto engine = before; !within && engine != expected; engine()) within = engine == random_;
  EXPECT_TRUE(within) << "drew more than 200 times";
}

TEST(HandOutPolicy, AnUnknownNameIsAnErrorThatNamesTheChoices) {
  EXPECT_NE(std::string(base::Message(MakeHandOutPolicy("nearest").status())).find("random"),
            std::string::npos);
}

}  // namespace
}  // namespace eagle::tracker
