#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "lib/swarm/session_fixture.h"
#include "lib/testing/black_hole.h"
#include "lib/testing/fake_tracker.h"

namespace eagle::swarm {
namespace {

using testing::FakeTracker;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = 1 << 20;
// Nothing listens on the discard port here: refused at once.
constexpr char kDeadTracker[] = "http://127.0.0.1:9/announce";

SessionOptions With(std::vector<std::string> trackers) {
  SessionOptions options;
  options.trackers = std::move(trackers);
  return options;
}

TEST(Announce, PeersFindEachOtherThroughTheTracker) {
  FakeTracker tracker;
  const Layer layer = MakeLayer(2 * kMiB);
  Host seeder("127.0.0.2", Role::kSeeder, With({tracker.url()}));
  Host node("127.0.0.3", Role::kNode, With({tracker.url()}));
  seeder.Seed(layer);
  const auto start = Clock::now();
  ASSERT_TRUE(node.Download(layer, {}).ok());
  ASSERT_TRUE(node.observer.WaitComplete());
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  ASSERT_TRUE(tracker.WaitFor("event=completed"));
  for (const std::string& line : tracker.announces()) {
    EXPECT_THAT(line, HasSubstr("GET /announce?info_hash="));
    EXPECT_THAT(line, ::testing::AnyOf(HasSubstr("peer_id=-ES"), HasSubstr("peer_id=-EN")));
  }
}

TEST(Announce, ReachesEveryTracker) {
  FakeTracker first;
  FakeTracker second;
  FakeTracker third;
  const Layer layer = MakeLayer(kMiB);
  Host seeder("127.0.0.2", Role::kSeeder,
              With({first.url(), second.url(), kDeadTracker, third.url()}));
  seeder.Seed(layer);
  for (FakeTracker* tracker : {&first, &second, &third}) {
    EXPECT_TRUE(tracker->WaitFor("event=started"));
  }
  // And again, at the interval that they gave.
  for (FakeTracker* tracker : {&first, &second, &third}) {
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    while (tracker->announces().size() < 2 && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_GE(tracker->announces().size(), 2U);
  }
}

TEST(Announce, DeadTrackersNeitherStopAGivenPeerNorTheShutdown) {
  const testing::BlackHole hole;
  const Layer layer = MakeLayer(kMiB);
  const std::vector<std::string> dead = {kDeadTracker, "http://" + hole.target() + "/announce"};
  Host seeder("127.0.0.2", Role::kSeeder, With(dead));
  Host node("127.0.0.3", Role::kNode, With(dead));
  const auto start = Clock::now();
  seeder.Seed(layer);
  ASSERT_TRUE(node.Download(layer, {seeder.endpoint()}).ok());
  ASSERT_TRUE(node.observer.WaitComplete());
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  const auto stop = Clock::now();
  node.session.reset();
  EXPECT_LT(Clock::now() - stop, std::chrono::seconds(3));
}

TEST(Announce, ATrackerThatHasDiedSinceDoesNotHoldUpTheEnd) {
  FakeTracker tracker;
  const Layer layer = MakeLayer(kMiB);
  Host seeder("127.0.0.2", Role::kSeeder, With({tracker.url()}));
  seeder.Seed(layer);
  tracker.FallSilent();
  const auto stop = Clock::now();
  seeder.session.reset();
  EXPECT_LT(Clock::now() - stop, std::chrono::seconds(3));
}

TEST(Announce, TellsWhenTheFirstTrackerHasAnswered) {
  FakeTracker tracker;
  const Layer layer = MakeLayer(kMiB);
  Host seeder("127.0.0.2", Role::kSeeder, With({kDeadTracker, tracker.url()}));
  seeder.Seed(layer);  // waits for it
  EXPECT_EQ(tracker.announces().size(), 1U);
}

TEST(Announce, TrackersThatAllRefuseAreNotWaitedFor) {
  FakeTracker silent;
  silent.FallSilent();
  const Layer layer = MakeLayer(kMiB);
  Host waiting("127.0.0.2", Role::kSeeder, With({silent.url()}));
  Host refused("127.0.0.3", Role::kSeeder, With({kDeadTracker, kDeadTracker + std::string("2")}));
  absl::Notification after_the_wait;
  WriteFile(waiting.Path(layer), layer.data);
  ASSERT_TRUE(waiting.session
                  ->Seed({layer.metainfo, waiting.dir.path()},
                         [&after_the_wait] { after_the_wait.Notify(); })
                  .ok());
  refused.Seed(layer);  // returns when it is announced
  EXPECT_FALSE(after_the_wait.HasBeenNotified());
  after_the_wait.WaitForNotification();
}

TEST(Announce, SaysStoppedAndItsStatedAddress) {
  FakeTracker tracker;
  const Layer layer = MakeLayer(kMiB);
  SessionOptions options = With({tracker.url()});
  options.announce_address = "192.0.2.7";
  Host seeder("127.0.0.2", Role::kSeeder, options);
  seeder.Seed(layer);
  seeder.session.reset();
  EXPECT_TRUE(tracker.WaitFor("event=stopped"));
  EXPECT_TRUE(tracker.WaitFor("ip=192.0.2.7"));
}

}  // namespace
}  // namespace eagle::swarm
