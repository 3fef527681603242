#include "plugin/hand_over.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"

namespace eagle::plugin {
namespace {

class HandOverTest : public ::testing::Test {
 protected:
  HandOverTest() { std::filesystem::create_directories(dir_.path() + "/blobs"); }

  std::string Store(const base::Digest& digest, const std::string& content) {
    const std::string path = dir_.path() + "/blobs/" + digest.hex();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  absl::StatusOr<std::shared_ptr<const VerifiedFile>> Take(const base::Digest& digest,
                                                           std::size_t size) {
    return hand_over_.Take(digest, static_cast<std::int64_t>(size), cancelled_);
  }

  testing::TempDir dir_;
  HandOver hand_over_{{.cache_dir = dir_.path(), .writer_patience = std::chrono::milliseconds(50)}};
  std::atomic<bool> cancelled_ = false;
  const std::string content_ = std::string(3 << 20, 'x') + "end";
  const base::Digest digest_ = base::Digest::Of(content_);
};

TEST_F(HandOverTest, TakesTheInodeAndItsProof) {
  const std::string path = Store(digest_, content_);
  ASSERT_EQ(::chown(path.c_str(), 1234, 1234), 0);
  const auto file = Take(digest_, content_.size());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->digest, digest_);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
  EXPECT_EQ(info.st_mode & 07777, 0444U);
}

TEST_F(HandOverTest, RefusesOtherBytes) {
  std::string other = content_;
  other[1000] = 'y';
  Store(digest_, other);
  EXPECT_TRUE(absl::IsDataLoss(Take(digest_, content_.size()).status()));
}

TEST_F(HandOverTest, RefusesAnotherSize) {
  Store(digest_, content_);
  EXPECT_TRUE(absl::IsFailedPrecondition(Take(digest_, content_.size() + 1).status()));
}

TEST_F(HandOverTest, RefusesWhatIsNotThere) {
  EXPECT_TRUE(absl::IsNotFound(Take(digest_, content_.size()).status()));
}

TEST_F(HandOverTest, FollowsNoSymbolicLink) {
  const std::string target = dir_.path() + "/elsewhere";
  std::ofstream(target) << content_;
  std::filesystem::create_symlink(target, dir_.path() + "/blobs/" + digest_.hex());
  EXPECT_TRUE(absl::IsFailedPrecondition(Take(digest_, content_.size()).status()));
  struct stat info {};
  ASSERT_EQ(::stat(target.c_str(), &info), 0);
  EXPECT_NE(info.st_mode & 07777, 0444U);
}

TEST_F(HandOverTest, FollowsNoFolderThatIsASymbolicLink) {
  Store(digest_, content_);
  std::filesystem::rename(dir_.path() + "/blobs", dir_.path() + "/real");
  std::filesystem::create_directory_symlink(dir_.path() + "/real", dir_.path() + "/blobs");
  EXPECT_FALSE(Take(digest_, content_.size()).ok());
}

TEST_F(HandOverTest, RefusesAFifoWithoutWaiting) {
  ASSERT_EQ(::mkfifo((dir_.path() + "/blobs/" + digest_.hex()).c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Take(digest_, content_.size()).status()));
}

TEST_F(HandOverTest, ChangesNoFileThatHasAnotherName) {
  const std::string secret = dir_.path() + "/secret";
  std::ofstream(secret) << content_;
  ASSERT_EQ(::chmod(secret.c_str(), 0600), 0);
  std::filesystem::create_hard_link(secret, dir_.path() + "/blobs/" + digest_.hex());
  EXPECT_TRUE(absl::IsFailedPrecondition(Take(digest_, content_.size()).status()));
  struct stat info {};
  ASSERT_EQ(::stat(secret.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST_F(HandOverTest, TakesAFileAgainThatIsLinkedAlready) {
  const std::string path = Store(digest_, content_);
  ASSERT_TRUE(Take(digest_, content_.size()).ok());
  std::filesystem::create_hard_link(path, dir_.path() + "/ingest");
  EXPECT_TRUE(Take(digest_, content_.size()).ok());
}

TEST_F(HandOverTest, RefusesAFileThatSomebodyHoldsOpenForWriting) {
  const std::string path = Store(digest_, content_);
  auto writer = base::OpenFile(path, O_RDWR);
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Take(digest_, content_.size()).status()));
  // A mapping that can write outlives its descriptor.
  void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer->get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  writer->Reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(Take(digest_, content_.size()).status()));
  ::munmap(map, 4096);
  EXPECT_TRUE(Take(digest_, content_.size()).ok());
}

TEST_F(HandOverTest, StopsWhenNobodyWaitsAnyMore) {
  Store(digest_, content_);
  cancelled_ = true;
  EXPECT_TRUE(absl::IsCancelled(Take(digest_, content_.size()).status()));
}

}  // namespace
}  // namespace eagle::plugin
