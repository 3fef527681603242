#include "seeder/second_uploads.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "seeder/file_storage.h"
#include "seeder/seeder_fakes.h"

namespace eagle::seeder {
namespace {

class SecondUploadsTest : public ::testing::Test {
 protected:
  SecondUploadsTest() {
    auto storage = FileStorage::Open(dir_.path(), base::MiB(1), clock_);
    EXPECT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
    uploads_ = std::make_unique<SecondUploads>(*storage_, swarm_, base::KiB(100));
  }

  FakeSwarm::DownloadCall Join() {
    uploads_->Join(digest_, {TorrentOf(content_), 7, {"10.0.0.2:61008"}}, "registry.lab/app");
    auto download = swarm_.FirstDownload();
    EXPECT_TRUE(download);
    return download.value_or(FakeSwarm::DownloadCall{});
  }
  // As the swarm leaves it.
  void WriteFile(const std::string& content) {
    auto fd = base::OpenFile(storage_->SwarmDirectory() + "/" + digest_.hex(), O_WRONLY | O_CREAT);
    ASSERT_TRUE(fd.ok()) << fd.status();
    ASSERT_TRUE(base::WriteAllAt(fd->get(), content, 0).ok());
    ASSERT_EQ(::fchmod(fd->get(), 0444), 0);
  }
  // Ends the thread that works on the disk, so that everything has happened.
  void Finish() { uploads_.reset(); }

  const std::string content_ = "content";
  const base::Digest digest_ = base::Digest::Of(content_);
  testing::TempDir dir_;
  testing::FakeClock clock_;
  FakeSwarm swarm_;
  std::unique_ptr<FileStorage> storage_;
  std::unique_ptr<SecondUploads> uploads_;
};

TEST_F(SecondUploadsTest, ACompleteDownloadIsStored) {
  const auto download = Join();
  WriteFile(content_);
  download.observer->OnComplete(digest_, {});
  Finish();
  ASSERT_TRUE(storage_->Find(digest_));
  EXPECT_TRUE(storage_->Find(digest_)->complete);
  EXPECT_EQ(storage_->Find(digest_)->metainfo, TorrentOf(content_));
}

TEST_F(SecondUploadsTest, BytesThatAreNotTheDigestsAreDropped) {
  const auto download = Join();
  WriteFile("CONTENT");
  download.observer->OnComplete(digest_, {});
  Finish();
  EXPECT_FALSE(storage_->Find(digest_));
  EXPECT_THAT(swarm_.removed(), ::testing::ElementsAre(digest_));
}

TEST_F(SecondUploadsTest, AFailedDownloadLeavesNothing) {
  const auto download = Join();
  download.observer->OnError(digest_, absl::ResourceExhaustedError("disk full"));
  Finish();
  EXPECT_FALSE(storage_->Find(digest_));
}

TEST_F(SecondUploadsTest, ResumesWithWhatTheSwarmSaved) {
  const auto download = Join();
  WriteFile("cont");
  download.observer->OnResumeData(digest_, "resume");
  Finish();
  uploads_ = std::make_unique<SecondUploads>(*storage_, swarm_, base::KiB(100));
  FakeSwarm second;
  SecondUploads resumed(*storage_, second, base::KiB(100));
  ASSERT_TRUE(storage_->Find(digest_));
  resumed.Resume(*storage_->Find(digest_));
  EXPECT_EQ(second.FirstDownload()->resume_data, "resume");
  EXPECT_EQ(second.FirstDownload()->metainfo, TorrentOf(content_));
}

TEST_F(SecondUploadsTest, JoiningTwiceIsJoiningOnce) {
  Join();
  Join();
  Finish();
  EXPECT_TRUE(storage_->Find(digest_));
  EXPECT_TRUE(swarm_.removed().empty());
}

TEST_F(SecondUploadsTest, ChecksTheTorrent) {
  EXPECT_EQ(*uploads_->Check(digest_, TorrentOf(content_)), 7);
  EXPECT_TRUE(absl::IsUnavailable(uploads_->Check(digest_, "junk").status()));
  EXPECT_TRUE(absl::IsUnavailable(uploads_->Check(digest_, TorrentOf("other")).status()));
  const std::string large(101 << 10, 'x');
  EXPECT_TRUE(absl::IsResourceExhausted(
      uploads_->Check(base::Digest::Of(large), TorrentOf(large)).status()));
}

}  // namespace
}  // namespace eagle::seeder
