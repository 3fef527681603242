#include "seeder/preheater.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"
#include "lib/observe/metrics.h"
#include "seeder/seeder_fakes.h"

namespace eagle::seeder {
namespace {

using ::testing::HasSubstr;

class RecordingPreheat final : public PreheatObserver {
 public:
  void OnPreheat(const PreheatView& view) override {
    const absl::MutexLock held(&mutex_);
    if (view_.state == PreheatState::kDone || view_.state == PreheatState::kFailed) return;
    view_ = view;
    ++calls_;
  }
  PreheatView WaitFor(PreheatState state) {
    const absl::MutexLock held(&mutex_);
    const auto there = [&] { return calls_ > 0 && view_.state == state; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience));
    return view_;
  }

 private:
  absl::Mutex mutex_;
  PreheatView view_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

class PreheaterTest : public ::testing::Test {
 protected:
  PreheaterTest() {
    options_.retry_delay = std::chrono::milliseconds(1);
    options_.platforms = {{"linux", "amd64", ""}};
  }
  void Start(Preheater::Work work) {
    preheater_ = std::make_unique<Preheater>(
        options_, std::move(work),
        [](const std::string& registry) {
          return registry == "registry.lab" ? absl::OkStatus()
                                            : absl::PermissionDeniedError("not in `origins`");
        },
        metrics_);
  }
  // Every attempt waits in here until it is let on or stopped.
  Preheater::Work Blocking() {
    return [this](const registry::ImageName&, const std::vector<registry::Platform>&,
                  const ImageProgressCallback&, registry::Cancellation& cancellation) {
      ++attempts_;
      while (!let_on_ && cancellation.Sleep(std::chrono::milliseconds(1))) {
      }
      return cancellation.cancelled() ? absl::CancelledError("stopped") : absl::OkStatus();
    };
  }
  static PreheatRequest Image(const std::string& name) {
    return {*registry::ImageName::Parse("registry.lab/" + name), {}};
  }
  std::shared_ptr<RecordingPreheat> Submit(const std::string& name) {
    auto observer = std::make_shared<RecordingPreheat>();
    const auto view = preheater_->Submit(Image(name), observer);
    EXPECT_TRUE(view.ok()) << view.status();
    return observer;
  }

  observe::MetricsRegistry registry_;
  SeederMetrics metrics_{registry_};
  Preheater::Options options_;
  std::atomic<int> attempts_ = 0;
  std::atomic<bool> let_on_ = false;
  std::unique_ptr<Preheater> preheater_;
};

TEST_F(PreheaterTest, TellsHowFarItIsAndRemembersTheEnd) {
  std::vector<registry::Platform> platforms;
  Start([&](const registry::ImageName& image, const std::vector<registry::Platform>& wanted,
            const ImageProgressCallback& progress, registry::Cancellation&) {
    EXPECT_EQ(image.str(), "registry.lab/app:1");
    platforms = wanted;
    progress({1, 2, 30, 70});
    return absl::OkStatus();
  });
  const PreheatView view = Submit("app:1")->WaitFor(PreheatState::kDone);
  EXPECT_EQ(view.image, "registry.lab/app:1");
  EXPECT_EQ(view.progress.bytes_total, 70);
  EXPECT_EQ(platforms, options_.platforms);
  const auto found = preheater_->Find(view.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state, PreheatState::kDone);
  EXPECT_FALSE(preheater_->Find("something else"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("eagle_seeder_preheats_total{result=\"ok\"} 1"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("eagle_seeder_waiting_preheats 0"));
}

TEST_F(PreheaterTest, TheSameImageIsQueuedOnce) {
  Start(Blocking());
  const auto one = Submit("app:1");
  const auto two = Submit("app:1");
  one->WaitFor(PreheatState::kRunning);
  let_on_ = true;
  one->WaitFor(PreheatState::kDone);
  two->WaitFor(PreheatState::kDone);
  EXPECT_EQ(attempts_, 1);
  Submit("app:1")->WaitFor(PreheatState::kDone);
  EXPECT_EQ(attempts_, 2);
}

TEST_F(PreheaterTest, OtherPlatformsAreAnotherImage) {
  Start(Blocking());
  const auto one = preheater_->Submit(Image("app:1"), nullptr);
  PreheatRequest other = Image("app:1");
  other.platforms = {{"linux", "arm64", ""}};
  const auto two = preheater_->Submit(other, nullptr);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(one->id, two->id);
}

TEST_F(PreheaterTest, ARegistryThatMayNotBeAskedIsRefusedAtOnce) {
  Start(Blocking());
  const auto view = preheater_->Submit({*registry::ImageName::Parse("other.lab/app"), {}}, nullptr);
  EXPECT_TRUE(absl::IsPermissionDenied(view.status()));
}

TEST_F(PreheaterTest, AFullQueueRefusesNewImagesOnly) {
  options_.max_queued = 2;
  options_.images_at_once = 1;
  Start(Blocking());
  const auto one = Submit("app:1");
  const auto two = Submit("app:2");
  EXPECT_TRUE(absl::IsResourceExhausted(preheater_->Submit(Image("app:3"), nullptr).status()));
  EXPECT_TRUE(preheater_->Submit(Image("app:2"), nullptr).ok());
  let_on_ = true;
  two->WaitFor(PreheatState::kDone);
  EXPECT_TRUE(preheater_->Submit(Image("app:3"), nullptr).ok());
}

TEST_F(PreheaterTest, TriedAgainWhenNobodyAnsweredAndNotAfterARefusal) {
  std::atomic<int> calls = 0;
  Start([&](const registry::ImageName& image, const std::vector<registry::Platform>&,
            const ImageProgressCallback&, registry::Cancellation&) -> absl::Status {
    ++calls;
    if (image.tag == "gone") return absl::NotFoundError("no such manifest");
    return calls < 3 ? absl::UnavailableError("registry down") : absl::OkStatus();
  });
  Submit("app:1")->WaitFor(PreheatState::kDone);
  EXPECT_EQ(calls, 3);
  const PreheatView gone = Submit("app:gone")->WaitFor(PreheatState::kFailed);
  EXPECT_TRUE(absl::IsNotFound(gone.failure));
  EXPECT_EQ(calls, 4);
}

TEST_F(PreheaterTest, GivesUpAfterSoManyAttempts) {
  options_.attempts = 3;
  Start([&](const registry::ImageName&, const std::vector<registry::Platform>&,
            const ImageProgressCallback&, registry::Cancellation&) {
    ++attempts_;
    return absl::UnavailableError("registry down");
  });
  const PreheatView view = Submit("app:1")->WaitFor(PreheatState::kFailed);
  EXPECT_TRUE(absl::IsUnavailable(view.failure));
  EXPECT_EQ(attempts_, 3);
}

TEST_F(PreheaterTest, OneThatWaitsForItsNextAttemptHoldsUpNobody) {
  options_.images_at_once = 1;
  options_.retry_delay = std::chrono::hours(1);
  Start([&](const registry::ImageName& image, const std::vector<registry::Platform>&,
            const ImageProgressCallback&, registry::Cancellation&) {
    return image.tag == "bad" ? absl::UnavailableError("registry down") : absl::OkStatus();
  });
  const auto bad = Submit("app:bad");
  Submit("app:good")->WaitFor(PreheatState::kDone);
  EXPECT_TRUE(absl::IsUnavailable(bad->WaitFor(PreheatState::kQueued).failure));
}

TEST_F(PreheaterTest, StopEndsWhatIsUnderWayAndWhatWaits) {
  options_.images_at_once = 1;
  Start(Blocking());
  const auto one = Submit("app:1");
  one->WaitFor(PreheatState::kRunning);
  const auto two = Submit("app:2");
  preheater_->Stop();
  EXPECT_TRUE(absl::IsCancelled(one->WaitFor(PreheatState::kFailed).failure));
  EXPECT_TRUE(absl::IsCancelled(two->WaitFor(PreheatState::kFailed).failure));
  EXPECT_TRUE(absl::IsCancelled(preheater_->Submit(Image("app:3"), nullptr).status()));
  preheater_.reset();
  EXPECT_EQ(attempts_, 1);
}

TEST_F(PreheaterTest, ForgetsTheOldestEnds) {
  options_.remembered = 1;
  Start([](const registry::ImageName&, const std::vector<registry::Platform>&,
           const ImageProgressCallback&, registry::Cancellation&) { return absl::OkStatus(); });
  const std::string one = Submit("app:1")->WaitFor(PreheatState::kDone).id;
  const std::string two = Submit("app:2")->WaitFor(PreheatState::kDone).id;
  EXPECT_FALSE(preheater_->Find(one));
  EXPECT_TRUE(preheater_->Find(two));
}

}  // namespace
}  // namespace eagle::seeder
