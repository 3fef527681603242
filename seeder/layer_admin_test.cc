#include "seeder/layer_admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/observe/metrics.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "seeder/file_storage.h"
#include "seeder/seeder_fakes.h"
#include "seeder/ssi/fs_backend.h"

namespace eagle::seeder {
namespace {

using ::testing::ElementsAre;

class LayerAdminTest : public ::testing::Test {
 protected:
  LayerAdminTest() {
    auto storage = FileStorage::Open(dir_.path() + "/disk", base::MiB(1), clock_);
    EXPECT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
    Restart();
  }
  // Pins are read again, as after a restart.
  void Restart() {
    pins_.reset();
    auto pins = LayerPins::Open(*storage_, dir_.path() + "/pins");
    ASSERT_TRUE(pins.ok()) << pins.status();
    pins_ = *std::move(pins);
    admin_ = std::make_unique<LayerAdmin>(*storage_, swarm_, *pins_, tier_.get());
  }
  void OpenTier() {
    auto backend = ssi::FsBackend::Open(dir_.path() + "/tier");
    ASSERT_TRUE(backend.ok()) << backend.status();
    tier_ = std::make_unique<DurableTier>(*std::move(backend), *storage_, metrics_,
                                          DurableTier::Options());
    admin_ = std::make_unique<LayerAdmin>(*storage_, swarm_, *pins_, tier_.get());
  }

  base::Digest Store(const std::string& content) {
    const base::Digest digest = base::Digest::Of(content);
    auto writer = storage_->Create(digest, static_cast<std::int64_t>(content.size()), "lab/app");
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE((*writer)->Write(content).ok());
    EXPECT_TRUE((*writer)->Commit("torrent").ok());
    clock_.Advance(std::chrono::seconds(60));
    return digest;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  SeederMetrics metrics_{registry_};
  FakeSwarm swarm_;
  std::unique_ptr<FileStorage> storage_;
  std::unique_ptr<LayerPins> pins_;
  std::unique_ptr<DurableTier> tier_;
  std::unique_ptr<LayerAdmin> admin_;
};

TEST_F(LayerAdminTest, ListsWhatWasUsedLastFirst) {
  const base::Digest one = Store("one");
  const base::Digest two = Store("two");
  auto listing = admin_->List("", 10);
  ASSERT_EQ(listing.layers.size(), 2u);
  EXPECT_EQ(listing.layers[0].digest, two);
  EXPECT_EQ(listing.layers[0].source, "lab/app");
  EXPECT_EQ(listing.layers[0].size_bytes, 3);
  EXPECT_FALSE(listing.truncated);
  EXPECT_GT(listing.layers[0].last_used, listing.layers[1].last_used);

  listing = admin_->List("", 1);
  EXPECT_EQ(listing.layers.size(), 1u);
  EXPECT_TRUE(listing.truncated);
  listing = admin_->List("sha256:" + one.hex().substr(0, 8), 10);
  ASSERT_EQ(listing.layers.size(), 1u);
  EXPECT_EQ(listing.layers[0].digest, one);
}

TEST_F(LayerAdminTest, ALayerIsRemovedWithItsTorrent) {
  const base::Digest digest = Store("content");
  ASSERT_TRUE(admin_->Remove(digest, LayerAdmin::From::kDisk).ok());
  EXPECT_THAT(swarm_.removed(), ElementsAre(digest));
  EXPECT_FALSE(storage_->Find(digest));
  EXPECT_TRUE(absl::IsNotFound(admin_->Remove(digest, LayerAdmin::From::kDisk)));
}

TEST_F(LayerAdminTest, ALayerOnItsWayStays) {
  const base::Digest digest = base::Digest::Of("content");
  const auto writer = storage_->Create(digest, 7, "lab/app");
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsNotFound(admin_->Remove(digest, LayerAdmin::From::kDisk)));
  EXPECT_TRUE(storage_->Find(digest));
}

TEST_F(LayerAdminTest, TheBackEndKeepsItUnlessToldOtherwise) {
  OpenTier();
  const base::Digest digest = Store("content");
  tier_->Keep(digest);
  tier_->WaitUntilIdle();
  ASSERT_TRUE(admin_->Remove(digest, LayerAdmin::From::kDisk).ok());
  // Not on the disk any more, but there.
  EXPECT_TRUE(admin_->Remove(digest, LayerAdmin::From::kDiskAndBackend).ok());
  EXPECT_TRUE(absl::IsNotFound(admin_->Remove(digest, LayerAdmin::From::kDiskAndBackend)));
}

TEST_F(LayerAdminTest, APinnedLayerIsNotEvictedNorRemovedAlsoAfterARestart) {
  const base::Digest pinned = Store(std::string(400'000, 'p'));
  ASSERT_TRUE(pins_->Pin(pinned).ok());
  EXPECT_TRUE(pins_->Pin(pinned).ok());
  Restart();
  EXPECT_TRUE(pins_->Has(pinned));
  EXPECT_TRUE(absl::IsFailedPrecondition(admin_->Remove(pinned, LayerAdmin::From::kDisk)));
  const base::Digest one = Store(std::string(400'000, '1'));
  Store(std::string(400'000, '2'));
  EXPECT_TRUE(storage_->Find(pinned));
  EXPECT_FALSE(storage_->Find(one));

  ASSERT_TRUE(pins_->Unpin(pinned).ok());
  EXPECT_TRUE(absl::IsNotFound(pins_->Unpin(pinned)));
  Restart();
  EXPECT_FALSE(pins_->Has(pinned));
  EXPECT_TRUE(admin_->Remove(pinned, LayerAdmin::From::kDisk).ok());
}

TEST_F(LayerAdminTest, OnlyWhatIsHereIsPinned) {
  const base::Digest digest = base::Digest::Of("content");
  EXPECT_TRUE(absl::IsNotFound(pins_->Pin(digest)));
  {
    const auto writer = storage_->Create(digest, 7, "lab/app");
    ASSERT_TRUE(writer.ok());
    EXPECT_TRUE(absl::IsNotFound(pins_->Pin(digest)));
  }
  Store("content");
  ASSERT_TRUE(pins_->Pin(digest).ok());
  pins_.reset();
  ASSERT_TRUE(storage_->Remove(digest).ok());
  Restart();
  EXPECT_FALSE(pins_->Has(digest));
}

TEST_F(LayerAdminTest, PinsThatCanNotBeReadAreNotForgotten) {
  const std::string path = dir_.path() + "/pins";
  ASSERT_TRUE(base::WriteFileAtomic(path, "not a digest\n").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(LayerPins::Open(*storage_, path).status()));
}

}  // namespace
}  // namespace eagle::seeder
