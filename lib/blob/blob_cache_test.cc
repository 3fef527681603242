#include "lib/blob/blob_cache.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "lib/blob/blob_cache_testing.h"

namespace eagle::blob {
namespace {

using ::testing::HasSubstr;

TEST_F(BlobCacheTest, HoldsTwoBlobsAndWhatIsKnownOfThem) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two", 50);
  ASSERT_TRUE(cache_->SetMetainfo(one, "d4:info").ok());
  ASSERT_TRUE(cache_->SetSource(one, "registry.example.com/app").ok());
  const auto record = cache_->Find(one);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->digest, one);
  EXPECT_EQ(record->size_bytes, 100);
  EXPECT_TRUE(record->complete);
  EXPECT_EQ(record->metainfo, "d4:info");
  EXPECT_EQ(record->source, "registry.example.com/app");
  EXPECT_EQ(cache_->Usage().bytes, 150);
  EXPECT_EQ(cache_->Usage().blobs, 2);
  EXPECT_EQ(cache_->PathOf(two), PathOf(two));
  EXPECT_EQ(cache_->blobs_directory(), directory() + "/blobs");
}

TEST_F(BlobCacheTest, ListsMostRecentlyUsedFirst) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  const base::Digest three = Add("three");
  cache_->Touch(one);
  const auto list = cache_->List();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].digest, one);
  EXPECT_EQ(list[1].digest, three);
  EXPECT_EQ(list[2].digest, two);
}

TEST_F(BlobCacheTest, EvictsLeastRecentlyUsedWhenOverLimit) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  const base::Digest three = Add("three");
  cache_->Touch(one);
  const base::Digest four = Add("four", 150);
  EXPECT_TRUE(Knows(one));
  EXPECT_FALSE(Knows(two));
  EXPECT_FALSE(FileExists(two));
  EXPECT_FALSE(Knows(three));
  EXPECT_TRUE(Knows(four));
  EXPECT_EQ(cache_->Usage().bytes, 250);
  EXPECT_EQ(cache_->Usage().evicted_bytes, 200);
  EXPECT_EQ(cache_->Usage().evicted_blobs, 2);
}

TEST_F(BlobCacheTest, EvictsNoMoreThanNeeded) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  Add("three");
  Add("four");
  EXPECT_FALSE(Knows(one));
  EXPECT_TRUE(Knows(two));
}

TEST_F(BlobCacheTest, APinKeepsABlob) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  Add("three");
  auto pin = cache_->Acquire(one);
  ASSERT_TRUE(pin.ok());
  Add("four");
  EXPECT_TRUE(Knows(one));
  EXPECT_FALSE(Knows(two));
  *pin = BlobCache::Pin();
  Add("five");
  EXPECT_FALSE(Knows(one));
}

TEST_F(BlobCacheTest, AcquireNeedsARecord) {
  EXPECT_TRUE(absl::IsNotFound(cache_->Acquire(DigestOf("none", 10)).status()));
}

TEST_F(BlobCacheTest, EvictsNothingWhenThatWouldNotDo) {
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  auto pin = cache_->Acquire(one);
  const auto refused = cache_->Reserve(DigestOf("big", 250), 250);
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  EXPECT_TRUE(Knows(one));
  EXPECT_TRUE(Knows(two));
  EXPECT_FALSE(Knows(DigestOf("big", 250)));
  EXPECT_EQ(cache_->Usage().bytes, 200);
  EXPECT_TRUE(absl::IsResourceExhausted(cache_->Reserve(DigestOf("huge", 301), 301).status()));
}

TEST_F(BlobCacheTest, RefusesWhatTheFileSystemCanNotHold) {
  const base::Digest one = Add("one");
  free_bytes_ = -1'000'000;
  const auto refused = cache_->Reserve(DigestOf("two", 200), 200);
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_THAT(std::string(base::Message(refused.status())), HasSubstr("file system"));
  EXPECT_TRUE(Knows(one));
}

TEST_F(BlobCacheTest, EvictsForTheFileSystemWhatGivesItSpace) {
  limit_ = base::MiB(1);
  Open();
  const base::Digest linked = Add("linked", 8192);
  const base::Digest alone = Add("alone", 8192);
  ASSERT_EQ(::link(PathOf(linked).c_str(), (dir_.path() + "/second").c_str()), 0);
  free_bytes_ = 0;
  auto pin = cache_->Reserve(DigestOf("new", 4096), 4096);
  ASSERT_TRUE(pin.ok()) << pin.status();
  EXPECT_TRUE(Knows(linked));
  EXPECT_FALSE(Knows(alone));
}

TEST_F(BlobCacheTest, AFileWithASecondNameDoesNotCountAndStays) {
  const base::Digest linked = Add("linked", 200);
  const std::string second = dir_.path() + "/second";
  ASSERT_EQ(::link(PathOf(linked).c_str(), second.c_str()), 0);
  const base::Digest one = Add("one");
  const base::Digest two = Add("two");
  EXPECT_TRUE(Knows(linked));
  ASSERT_TRUE(cache_->Trim().ok());
  EXPECT_EQ(cache_->List().size(), 3u);
  // Once the second name is gone, 400 bytes are more than the limit of 300.
  ASSERT_EQ(::unlink(second.c_str()), 0);
  ASSERT_TRUE(cache_->Trim().ok());
  EXPECT_FALSE(Knows(linked));
  EXPECT_FALSE(FileExists(linked));
  EXPECT_TRUE(Knows(one));
  EXPECT_TRUE(Knows(two));
}

TEST_F(BlobCacheTest, TrimMakesWayForMinFree) {
  limit_ = base::MiB(1);
  min_free_ = {10'000};
  free_bytes_ = 20'000;
  Open();
  const base::Digest oldest = Add("oldest", 8192);
  const base::Digest linked = Add("linked", 8192);
  ASSERT_EQ(::link(PathOf(linked).c_str(), (dir_.path() + "/second").c_str()), 0);
  const base::Digest middle = Add("middle", 8192);
  auto pinned = cache_->Reserve(DigestOf("pinned", 100), 100);
  const base::Digest newest = Add("newest", 8192);
  std::vector<base::Digest> told;
  cache_->SetEvictionHook([&](const base::Digest& digest) { told.push_back(digest); });
  ASSERT_TRUE(cache_->Trim().ok());
  EXPECT_EQ(told.size(), 0u);
  free_bytes_ = 0;
  ASSERT_TRUE(cache_->Trim().ok());
  EXPECT_EQ(told, (std::vector<base::Digest>{oldest, middle}));
  EXPECT_TRUE(Knows(linked));
  EXPECT_TRUE(Knows(newest));
  // Less than that is free whatever goes: what there is room for is not refused.
  free_bytes_ = 5000;
  EXPECT_TRUE(cache_->Reserve(DigestOf("new", 1000), 1000).ok());
  EXPECT_FALSE(Knows(newest));
  EXPECT_TRUE(Knows(DigestOf("pinned", 100)));
}

TEST_F(BlobCacheTest, CountsWhatPartialBlobsWillStillNeed) {
  limit_ = base::MiB(1);
  Open();
  free_bytes_ = 1000;
  auto first = cache_->Reserve(DigestOf("first", 600), 600);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(cache_->Reserve(DigestOf("second", 600), 600).status()));
  // Unpinned, its promise can be taken back.
  *first = BlobCache::Pin();
  EXPECT_TRUE(cache_->Reserve(DigestOf("second", 600), 600).ok());
  EXPECT_FALSE(Knows(DigestOf("first", 600)));
}

TEST_F(BlobCacheTest, ReserveOfAKnownBlobPinsIt) {
  const base::Digest one = Add("one");
  auto pin = cache_->Reserve(one, 100);
  ASSERT_TRUE(pin.ok());
  EXPECT_TRUE(cache_->Find(one)->complete);
  Add("two");
  Add("three");
  Add("four");
  EXPECT_TRUE(Knows(one));
}

TEST_F(BlobCacheTest, RefusesAnImpossibleSize) {
  EXPECT_TRUE(absl::IsInvalidArgument(cache_->Reserve(DigestOf("x", 1), 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(cache_->Reserve(DigestOf("x", 1), -1).status()));
}

TEST_F(BlobCacheTest, TheHookMayUseTheCacheAndSeesTheBlobGone) {
  const base::Digest one = Add("one");
  Add("two");
  Add("three");
  std::vector<base::Digest> told;
  cache_->SetEvictionHook([&](const base::Digest& digest) {
    told.push_back(digest);
    EXPECT_TRUE(FileExists(digest));
    EXPECT_FALSE(cache_->Find(digest));
    EXPECT_TRUE(absl::IsNotFound(cache_->Acquire(digest).status()));
    EXPECT_TRUE(absl::IsNotFound(cache_->SetResumeData(digest, "x")));
    EXPECT_EQ(cache_->List().size(), 2u);
  });
  Add("four");
  EXPECT_EQ(told, std::vector<base::Digest>{one});
}

TEST_F(BlobCacheTest, AReserveWaitsForTheEvictionOfItsDigest) {
  const base::Digest one = Add("one");
  Add("two");
  Add("three");
  std::thread second;
  absl::StatusOr<BlobCache::Pin> again = absl::UnknownError("not asked");
  cache_->SetEvictionHook([&](const base::Digest& digest) {
    if (digest != one || second.joinable()) return;
    second = std::thread([&] { again = cache_->Reserve(one, 100); });
  });
  Add("four");
  second.join();
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_TRUE(Knows(one));
  EXPECT_FALSE(cache_->Find(one)->complete);
  EXPECT_FALSE(FileExists(one));
}

TEST_F(BlobCacheTest, ConcurrentReservesOfOneDigestShareOneRecord) {
  const base::Digest digest = DigestOf("shared", 200);
  std::vector<std::thread> threads;
  std::vector<BlobCache::Pin> pins(8);
  for (BlobCache::Pin& pin : pins) {
    threads.emplace_back([&] {
      auto reserved = cache_->Reserve(digest, 200);
      ASSERT_TRUE(reserved.ok()) << reserved.status();
      pin = *std::move(reserved);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache_->Usage().bytes, 200);
  EXPECT_EQ(cache_->Usage().blobs, 1);
  pins.resize(1);
  EXPECT_TRUE(absl::IsResourceExhausted(cache_->Reserve(DigestOf("x", 200), 200).status()));
  pins.clear();
  EXPECT_TRUE(cache_->Reserve(DigestOf("x", 200), 200).ok());
}

TEST_F(BlobCacheTest, ManyThreadsNeverExceedTheLimit) {
  limit_ = base::ByteSize{1000};
  Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string content = Content(std::to_string(t * 7 + i % 11), 150);
        const base::Digest digest = base::Digest::Of(content);
        auto pin = cache_->Reserve(digest, 150);
        EXPECT_LE(cache_->Usage().bytes, 1000);
        if (i % 5 == 0) {
          EXPECT_TRUE(cache_->Remove(digest).ok());
        }
        cache_->Touch(digest);
        (void)cache_->SetMetainfo(digest, "m");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::int64_t bytes = 0;
  for (const BlobRecord& record : cache_->List()) bytes += record.size_bytes;
  EXPECT_EQ(cache_->Usage().bytes, bytes);
}

TEST_F(BlobCacheTest, RemoveTakesAPinnedBlobAndTheOldPinHoldsNothing) {
  const base::Digest one = Add("one");
  auto old_pin = cache_->Acquire(one);
  ASSERT_TRUE(cache_->Remove(one).ok());
  EXPECT_FALSE(Knows(one));
  EXPECT_FALSE(FileExists(one));
  EXPECT_EQ(cache_->Usage().bytes, 0);
  auto pin = cache_->Reserve(one, 100);
  ASSERT_TRUE(pin.ok());
  *old_pin = BlobCache::Pin();
  EXPECT_TRUE(absl::IsResourceExhausted(cache_->Reserve(DigestOf("x", 250), 250).status()));
  EXPECT_TRUE(cache_->Remove(DigestOf("never", 5)).ok());
}

TEST_F(BlobCacheTest, RemoveLeavesASecondNameOfTheFileWhole) {
  const base::Digest one = Add("one");
  const std::string second = dir_.path() + "/second";
  ASSERT_EQ(::link(PathOf(one).c_str(), second.c_str()), 0);
  ASSERT_TRUE(cache_->Remove(one).ok());
  EXPECT_EQ(*base::ReadFile(second), Content("one", 100));
}

TEST_F(BlobCacheTest, MarkCompleteNeedsAWholeReadOnlyFile) {
  const std::string content = Content("one", 100);
  const base::Digest one = base::Digest::Of(content);
  auto pin = cache_->Reserve(one, 100);
  EXPECT_TRUE(absl::IsFailedPrecondition(cache_->MarkComplete(one)));
  WriteBlobFile(PathOf(one), content.substr(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(cache_->MarkComplete(one)));
  ASSERT_EQ(::unlink(PathOf(one).c_str()), 0);
  WriteBlobFile(PathOf(one), content, 0600);
  EXPECT_TRUE(absl::IsFailedPrecondition(cache_->MarkComplete(one)));
  ASSERT_EQ(::chmod(PathOf(one).c_str(), 0444), 0);
  EXPECT_TRUE(cache_->MarkComplete(one).ok());
}

TEST_F(BlobCacheTest, MarkCompleteDropsResumeData) {
  const std::string content = Content("one", 100);
  const base::Digest one = base::Digest::Of(content);
  auto pin = cache_->Reserve(one, 100);
  ASSERT_TRUE(cache_->SetResumeData(one, "resume").ok());
  EXPECT_EQ(cache_->Find(one)->resume_data, "resume");
  WriteBlobFile(PathOf(one), content);
  ASSERT_TRUE(cache_->MarkComplete(one).ok());
  ASSERT_TRUE(cache_->SetResumeData(one, "late").ok());
  EXPECT_EQ(cache_->Find(one)->resume_data, "");
}

TEST_F(BlobCacheTest, RefusesWhatTheIndexCouldNotReadBack) {
  const base::Digest one = Add("one");
  EXPECT_TRUE(absl::IsInvalidArgument(cache_->SetSource(one, std::string(5000, 'x'))));
  EXPECT_TRUE(absl::IsInvalidArgument(cache_->SetMetainfo(one, std::string((16 << 20) + 1, 'x'))));
}

TEST_F(BlobCacheTest, ASecondOpenIsRefused) {
  BlobCacheOptions options;
  options.directory = directory();
  options.limit = limit_;
  const auto second = BlobCache::Open(options, clock_);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
}

}  // namespace
}  // namespace eagle::blob
