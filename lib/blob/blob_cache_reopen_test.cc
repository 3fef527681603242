#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "lib/blob/blob_cache_testing.h"

namespace eagle::blob {
namespace {

namespace fs = std::filesystem;

TEST_F(BlobCacheTest, ReopenFindsEverything) {
  const base::Digest one = Add("one");
  const base::Digest two = DigestOf("two", 100);
  {
    auto pin = cache_->Reserve(two, 100);
    WriteBlobFile(PathOf(two), "part", 0600);
    ASSERT_TRUE(cache_->SetResumeData(two, "resume").ok());
    ASSERT_TRUE(cache_->SetMetainfo(one, "meta").ok());
    ASSERT_TRUE(cache_->SetSource(one, "source").ok());
  }
  cache_->Touch(one);
  Open();
  const auto list = cache_->List();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].digest, one);
  EXPECT_TRUE(list[0].complete);
  EXPECT_EQ(list[0].metainfo, "meta");
  EXPECT_EQ(list[0].source, "source");
  EXPECT_FALSE(list[1].complete);
  EXPECT_EQ(list[1].resume_data, "resume");
  EXPECT_EQ(cache_->Usage().bytes, 200);
}

TEST_F(BlobCacheTest, ReopenDropsRecordsThatTheFilesContradict) {
  const base::Digest missing = Add("missing");
  const base::Digest shorter = Add("shorter");
  const base::Digest good = Add("good");
  ASSERT_EQ(::unlink(PathOf(missing).c_str()), 0);
  ASSERT_EQ(::truncate(PathOf(shorter).c_str(), 99), 0);
  Open();
  EXPECT_FALSE(Knows(missing));
  EXPECT_FALSE(Knows(shorter));
  EXPECT_FALSE(FileExists(shorter));
  EXPECT_TRUE(Knows(good));
  EXPECT_EQ(cache_->Usage().bytes, 100);
}

TEST_F(BlobCacheTest, ReopenFollowsNoSymbolicLink) {
  const base::Digest one = Add("one");
  ASSERT_EQ(::unlink(PathOf(one).c_str()), 0);
  const std::string target = dir_.path() + "/target";
  WriteBlobFile(target, Content("one", 100));
  ASSERT_EQ(::symlink(target.c_str(), PathOf(one).c_str()), 0);
  Open();
  EXPECT_FALSE(Knows(one));
  EXPECT_FALSE(FileExists(one));
  EXPECT_EQ(*base::ReadFile(target), Content("one", 100));
}

TEST_F(BlobCacheTest, ReopenAdoptsWholeFilesWhenTheIndexIsLost) {
  const base::Digest one = Add("one");
  const base::Digest wrong = Add("wrong");
  const base::Digest partial = DigestOf("partial", 100);
  WriteBlobFile(PathOf(partial), "part", 0600);
  WriteBlobFile(directory() + "/blobs/stray", "x");
  cache_.reset();
  ASSERT_EQ(::unlink(PathOf(wrong).c_str()), 0);
  WriteBlobFile(PathOf(wrong), Content("other", 100));
  fs::remove_all(directory() + "/index");
  Open();
  ASSERT_TRUE(Knows(one));
  EXPECT_TRUE(cache_->Find(one)->complete);
  EXPECT_EQ(cache_->Find(one)->size_bytes, 100);
  EXPECT_FALSE(FileExists(wrong));
  EXPECT_FALSE(FileExists(partial));
  EXPECT_FALSE(fs::exists(directory() + "/blobs/stray"));
  EXPECT_EQ(cache_->Usage().bytes, 100);
  // It is in the new index, so that the next start reads no file.
  Open();
  EXPECT_TRUE(Knows(one));
}

TEST_F(BlobCacheTest, ReopenRebuildsADamagedIndex) {
  const base::Digest one = Add("one");
  cache_.reset();
  for (const char* name : {"MANIFEST", "CURRENT"}) {
    for (const auto& entry : fs::directory_iterator(directory() + "/index")) {
      if (!entry.path().filename().string().starts_with(name)) continue;
      std::ofstream(entry.path(), std::ios::binary) << "garbage that is no manifest";
    }
    Open();
    ASSERT_TRUE(Knows(one)) << name;
    EXPECT_TRUE(fs::exists(directory() + "/index.damaged"));
    cache_.reset();
  }
}

TEST_F(BlobCacheTest, ReopenRebuildsFromDamagedTables) {
  limit_ = base::MiB(1);
  Open();
  const base::Digest one = Add("one");
  ASSERT_TRUE(cache_->SetMetainfo(one, std::string(100'000, 'm')).ok());
  // The second opening turns the log of the first into a table.
  Open();
  cache_.reset();
  int damaged = 0;
  for (const auto& entry : fs::directory_iterator(directory() + "/index")) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(50'000);
    file << "damage";
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  Open();
  ASSERT_TRUE(Knows(one));
  EXPECT_EQ(cache_->Find(one)->metainfo, "");
}

TEST_F(BlobCacheTest, ReopenCompletesAFileThatWasFinishedButNotMarked) {
  const std::string content = Content("one", 100);
  const base::Digest one = base::Digest::Of(content);
  const base::Digest wrong = DigestOf("wrong", 100);
  (void)cache_->Reserve(one, 100);
  (void)cache_->Reserve(wrong, 100);
  WriteBlobFile(PathOf(one), content);
  WriteBlobFile(PathOf(wrong), content);
  Open();
  ASSERT_TRUE(Knows(one));
  EXPECT_TRUE(cache_->Find(one)->complete);
  EXPECT_FALSE(Knows(wrong));
  EXPECT_FALSE(FileExists(wrong));
}

TEST_F(BlobCacheTest, ReopenEvictsWhatALowerLimitLeavesNoRoomFor) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  limit_ = base::ByteSize{150};
  Open();
  EXPECT_FALSE(Knows(one));
  EXPECT_FALSE(FileExists(one));
  EXPECT_TRUE(Knows(two));
}

TEST_F(BlobCacheTest, OrderOfUseSurvivesAClockThatIsSetBack) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  Open();
  clock_.Advance(-std::chrono::hours(5));
  cache_->Touch(one);
  Open();
  const auto list = cache_->List();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].digest, one);
  EXPECT_EQ(list[1].digest, two);
}

constexpr const char* kChildDirectory = "EAGLE_BLOB_CRASH_DIRECTORY";

// Run by KillMinusNineLeavesOnlyWholeBlobs in a process of its own: works on the cache until it is
// killed.
TEST(BlobCacheChild, DISABLED_WorksUntilKilled) {
  const char* directory = std::getenv(kChildDirectory);
  if (directory == nullptr) GTEST_SKIP() << "only of use to its parent";
  const base::SystemClock clock;
  BlobCacheOptions options;
  options.directory = directory;
  options.limit = base::KiB(64);
  auto cache = BlobCache::Open(options, clock);
  ASSERT_TRUE(cache.ok()) << cache.status();
  std::mt19937 random(std::random_device{}());
  while (true) {
    const std::string content(1 + random() % 9000, static_cast<char>('a' + random() % 26));
    const base::Digest digest = base::Digest::Of(content);
    auto pin = (*cache)->Reserve(digest, static_cast<std::int64_t>(content.size()));
    ASSERT_TRUE(pin.ok()) << pin.status();
    if ((*cache)->Find(digest)->complete) continue;
    ASSERT_TRUE((*cache)->Remove(digest).ok());
    pin = (*cache)->Reserve(digest, static_cast<std::int64_t>(content.size()));
    WriteBlobFile((*cache)->PathOf(digest), content);
    ASSERT_TRUE((*cache)->SetMetainfo(digest, digest.hex()).ok());
    ASSERT_TRUE((*cache)->MarkComplete(digest).ok());
  }
}

pid_t StartChild(const std::string& directory) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv(kChildDirectory, directory.c_str(), 1);
    ::execl("/proc/self/exe", "blob_test", "--gtest_also_run_disabled_tests",
            "--gtest_filter=BlobCacheChild.*", nullptr);
    ::_exit(127);
  }
  return child;
}

TEST_F(BlobCacheTest, KillMinusNineLeavesOnlyWholeBlobs) {
  limit_ = base::KiB(64);
  std::int64_t complete = 0;
  for (int round = 0; round < 15; ++round) {
    cache_.reset();
    const pid_t child = StartChild(directory());
    ASSERT_GT(child, 0);
    // Any moment will do, and a different one each time is the point.
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + 23 * round));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    Open();
    EXPECT_LE(cache_->Usage().bytes, limit_.bytes);
    EXPECT_FALSE(fs::exists(directory() + "/index.damaged"));
    std::int64_t files = 0;
    for (const BlobRecord& record : cache_->List()) {
      ++files;
      if (!record.complete) continue;
      ++complete;
      const auto content = base::ReadFile(PathOf(record.digest));
      ASSERT_TRUE(content.ok()) << content.status();
      EXPECT_EQ(base::Digest::Of(*content), record.digest);
      // Empty when the kill fell between the finished file and its record: the file was adopted.
      EXPECT_TRUE(record.metainfo.empty() || record.metainfo == record.digest.hex());
    }
    for (const auto& entry : fs::directory_iterator(directory() + "/blobs")) {
      EXPECT_TRUE(Knows(*base::Digest::FromHex(entry.path().filename().string())));
    }
  }
  EXPECT_GT(complete, 0);
}

}  // namespace
}  // namespace eagle::blob
