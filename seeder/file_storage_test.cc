#include "seeder/file_storage.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "seeder/seeder_fakes.h"

namespace eagle::seeder {
namespace {

class FileStorageTest : public ::testing::Test, protected EvictionListener {
 protected:
  FileStorageTest() { Open(); }

  void Open() {
    storage_.reset();
    auto storage = FileStorage::Open(dir_.path(), base::KiB(64), clock_);
    ASSERT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
    storage_->SetEvictionListener(this);
  }
  void OnEviction(const base::Digest& digest) override { evicted_.push_back(digest); }

  base::Digest Store(const std::string& content) {
    const base::Digest digest = base::Digest::Of(content);
    auto writer = storage_->Create(digest, static_cast<std::int64_t>(content.size()), "lab/app");
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE((*writer)->Write(content).ok());
    EXPECT_TRUE((*writer)->Commit("torrent").ok());
    return digest;
  }
  [[nodiscard]] std::string PathOf(const base::Digest& digest) const {
    return storage_->SwarmDirectory() + "/" + digest.hex();
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::vector<base::Digest> evicted_;
  std::unique_ptr<FileStorage> storage_;
};

TEST_F(FileStorageTest, ACommittedLayerIsThereAfterARestart) {
  const base::Digest digest = Store("content");
  struct stat info {};
  ASSERT_EQ(::stat(PathOf(digest).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0444u);
  Open();
  const auto layer = storage_->Find(digest);
  ASSERT_TRUE(layer);
  EXPECT_TRUE(layer->complete);
  EXPECT_EQ(layer->metainfo, "torrent");
  EXPECT_EQ(layer->size_bytes, 7);
  EXPECT_EQ(*storage_->Read(digest, 3, 2), "te");
}

TEST_F(FileStorageTest, AWriterWithoutACommitLeavesNothing) {
  const base::Digest digest = base::Digest::Of("content");
  {
    auto writer = storage_->Create(digest, 7, "lab/app");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Write("cont").ok());
  }
  EXPECT_FALSE(storage_->Find(digest));
  EXPECT_FALSE(std::filesystem::exists(PathOf(digest)));
  EXPECT_EQ(storage_->GetUsage().bytes, 0);
}

TEST_F(FileStorageTest, ACommitOfTooFewBytesIsRefused) {
  auto writer = storage_->Create(base::Digest::Of("content"), 7, "lab/app");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Write("cont").ok());
  EXPECT_FALSE((*writer)->Commit("torrent").ok());
}

TEST_F(FileStorageTest, OneLayerHasOneWriter) {
  const base::Digest digest = base::Digest::Of("content");
  auto writer = storage_->Create(digest, 7, "lab/app");
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsAlreadyExists(storage_->Create(digest, 7, "lab/app").status()));
  EXPECT_TRUE(absl::IsAlreadyExists(storage_->BeginDownload(digest, 7, "torrent", "lab/app")));
}

TEST_F(FileStorageTest, EvictsAndTellsTheListener) {
  const base::Digest first = Store(std::string(40 << 10, 'a'));
  const base::Digest second = Store(std::string(40 << 10, 'b'));
  EXPECT_EQ(evicted_, std::vector<base::Digest>{first});
  EXPECT_FALSE(storage_->Find(first));
  EXPECT_TRUE(storage_->Find(second));
  EXPECT_EQ(storage_->GetUsage().evicted_layers, 1);
  EXPECT_EQ(storage_->GetUsage().limit_bytes, 64 << 10);
}

TEST_F(FileStorageTest, ALayerBeingWrittenIsNotEvicted) {
  const std::string content(40 << 10, 'a');
  auto writer = storage_->Create(base::Digest::Of(content), 40 << 10, "lab/app");
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(
      storage_->Create(base::Digest::Of("other"), 40 << 10, "lab/app").status()));
}

TEST_F(FileStorageTest, ADamagedFileIsDroppedAtTheStart) {
  const base::Digest digest = Store("content");
  ASSERT_EQ(::truncate(PathOf(digest).c_str(), 3), 0);
  Open();
  EXPECT_FALSE(storage_->Find(digest));
  EXPECT_FALSE(std::filesystem::exists(PathOf(digest)));
}

}  // namespace
}  // namespace eagle::seeder
