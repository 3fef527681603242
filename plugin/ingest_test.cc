#include "plugin/ingest.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"
#include "plugin/ingest_store.h"

namespace eagle::plugin {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::string kRef = "default/1/layer-x";

class IngestTest : public ::testing::Test {
 protected:
  IngestTest() { Reopen(); }

  void Reopen() {
    ingests_.reset();
    store_.reset();
    auto store = ContentStore::Open(dir_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    auto ingests = IngestStore::Open(*store_);
    ASSERT_TRUE(ingests.ok()) << ingests.status();
    ingests_ = *std::move(ingests);
  }
  std::unique_ptr<Ingest> Open(const std::string& ref = kRef, std::int64_t total = 0) {
    auto ingest = ingests_->OpenIngest(ref, total, "");
    EXPECT_TRUE(ingest.ok()) << ingest.status();
    return *std::move(ingest);
  }
  [[nodiscard]] std::string Folder(const std::string& ref = kRef) const {
    return dir_.path() + "/ingest/" + base::Digest::Of(ref).hex();
  }
  [[nodiscard]] std::string BlobPath(const base::Digest& digest) const {
    return dir_.path() + "/blobs/sha256/" + digest.hex();
  }
  // A finished layer as the hand-over leaves it.
  VerifiedFile Finished(const std::string& content) {
    const std::string path = dir_.path() + "/seed";
    std::ofstream(path, std::ios::binary) << content;
    ::chmod(path.c_str(), 0444);
    VerifiedFile file;
    file.fd = *base::OpenFile(path, O_RDONLY);
    file.digest = base::Digest::Of(content);
    file.size_bytes = static_cast<std::int64_t>(content.size());
    return file;
  }
  static std::string Slurp(const std::string& path) { return *base::ReadFile(path); }
  static unsigned Links(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? static_cast<unsigned>(info.st_nlink) : 0;
  }

  testing::TempDir dir_;
  const std::atomic<bool> never_ = false;
  std::unique_ptr<ContentStore> store_;
  std::unique_ptr<IngestStore> ingests_;
};

TEST_F(IngestTest, BecomesABlob) {
  auto ingest = Open(kRef, 6);
  ASSERT_TRUE(ingest->Append("abc").ok());
  ASSERT_TRUE(ingest->Append("def").ok());
  EXPECT_EQ(ingest->offset(), 6);
  EXPECT_EQ(ingest->digest(), base::Digest::Of("abcdef"));
  ASSERT_TRUE(ingest->Commit(6, base::Digest::Of("abcdef").str()).ok());
  EXPECT_EQ(Slurp(BlobPath(base::Digest::Of("abcdef"))), "abcdef");
  EXPECT_FALSE(std::filesystem::exists(Folder()));
  struct stat info {};
  ASSERT_EQ(::stat(BlobPath(base::Digest::Of("abcdef")).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0444U);
  EXPECT_EQ(ingests_->count(), 0);
}

TEST_F(IngestTest, ResumesWithItsBytesAndItsStart) {
  auto ingest = Open(kRef, 6);
  const auto started = ingest->started_at();
  ASSERT_TRUE(ingest->Append("abc").ok());
  ingest.reset();
  Reopen();
  EXPECT_EQ(ingests_->count(), 1);
  ingest = Open(kRef, 6);
  EXPECT_EQ(ingest->offset(), 3);
  EXPECT_EQ(ingest->total(), 6);
  EXPECT_EQ(ingest->started_at(), started);
  EXPECT_EQ(ingest->digest(), std::nullopt);
  ASSERT_TRUE(ingest->HashExisting(never_).ok());
  EXPECT_EQ(ingest->digest(), base::Digest::Of("abc"));
  ASSERT_TRUE(ingest->Append("def").ok());
  EXPECT_TRUE(ingest->Commit(6, base::Digest::Of("abcdef").str()).ok());
}

TEST_F(IngestTest, ResumesWhatTheBuiltInStoreLeft) {
  std::filesystem::create_directories(Folder());
  std::ofstream(Folder() + "/ref") << kRef;
  std::ofstream(Folder() + "/startedat") << "2024-03-01T10:20:30.123456789+02:00";
  std::ofstream(Folder() + "/updatedat") << "2024-03-01T08:20:31Z";
  std::ofstream(Folder() + "/total") << "10";
  std::ofstream(Folder() + "/data") << "abc";
  const auto status = ingests_->Status(kRef);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->offset, 3);
  EXPECT_EQ(status->total, 10);
  EXPECT_EQ(
      std::chrono::duration_cast<std::chrono::nanoseconds>(status->started_at.time_since_epoch())
          .count(),
      1709281230123456789);
  EXPECT_EQ(Open(kRef, 10)->offset(), 3);
}

TEST_F(IngestTest, StartsAfreshWhenTheTotalIsAnother) {
  ASSERT_TRUE(Open(kRef, 6)->Append("abc").ok());
  auto ingest = Open(kRef, 7);
  EXPECT_EQ(ingest->offset(), 0);
  EXPECT_EQ(ingest->total(), 7);
}

TEST_F(IngestTest, StartsAfreshWhenItsFilesAreDamaged) {
  ASSERT_TRUE(Open(kRef, 6)->Append("abc").ok());
  std::ofstream(Folder() + "/startedat") << "yesterday";
  EXPECT_EQ(Open(kRef, 6)->offset(), 0);
  EXPECT_THAT(*ingests_->List(), SizeIs(1));
}

TEST_F(IngestTest, OpenRemovesWhatNobodyCanResume) {
  std::filesystem::create_directories(Folder("no data"));
  std::filesystem::create_directories(Folder() + ".removed-3");
  Reopen();
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() + "/ingest"));
}

TEST_F(IngestTest, HasOneOwnerAtATime) {
  auto ingest = Open();
  const auto second = ingests_->OpenIngest(kRef, 0, "");
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_THAT(std::string(base::Message(second.status())), HasSubstr("locked"));
  EXPECT_TRUE(ingests_->OpenIngest("another", 0, "").ok());
  ingest.reset();
  EXPECT_TRUE(ingests_->OpenIngest(kRef, 0, "").ok());
}

TEST_F(IngestTest, StaysWhenItsDigestIsWrong) {
  auto ingest = Open();
  ASSERT_TRUE(ingest->Append("abc").ok());
  const absl::Status status = ingest->Commit(3, base::Digest::Of("other").str());
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("unexpected commit digest"));
  EXPECT_EQ(ingests_->Status(kRef)->offset, 3);
}

TEST_F(IngestTest, StaysWhenItsSizeIsWrong) {
  auto ingest = Open(kRef, 6);
  ASSERT_TRUE(ingest->Append("abc").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(ingest->Commit(6, "")));
  EXPECT_TRUE(std::filesystem::exists(Folder()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ingest->Commit(2, "")));
  EXPECT_EQ(ingests_->Status(kRef)->offset, 3);
}

TEST_F(IngestTest, GoesWhenTheBlobIsThere) {
  ASSERT_TRUE(Open()->Append("x").ok());
  ASSERT_TRUE(Open()->Commit(1, "").ok());
  auto again = Open();
  ASSERT_TRUE(again->Append("x").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(again->Commit(1, "")));
  EXPECT_FALSE(std::filesystem::exists(Folder()));
}

TEST_F(IngestTest, CommitAfterAbortFailsAndLeavesNothing) {
  auto ingest = Open();
  ASSERT_TRUE(ingest->Append("abc").ok());
  ASSERT_TRUE(ingests_->Abort(kRef).ok());
  EXPECT_TRUE(absl::IsNotFound(ingests_->Status(kRef).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ingest->Commit(3, "")));
  EXPECT_FALSE(store_->Info(BlobName(base::Digest::Of("abc"))).ok());
  EXPECT_TRUE(ingests_->Abort(kRef).ok());
}

TEST_F(IngestTest, ListSkipsWhatIsNoIngest) {
  ASSERT_TRUE(Open()->Append("abc").ok());
  std::filesystem::create_directories(dir_.path() + "/ingest/junk");
  std::filesystem::create_directories(Folder("empty"));
  const auto list = ingests_->List();
  ASSERT_TRUE(list.ok());
  ASSERT_THAT(*list, SizeIs(1));
  EXPECT_EQ(list->at(0).ref, kRef);
}

TEST_F(IngestTest, ShowsATransferThatIsAheadOfTheFile) {
  auto ingest = Open(kRef, 100);
  ingest->live()->store(42);
  EXPECT_EQ(ingests_->Status(kRef)->offset, 42);
  EXPECT_EQ(ingests_->List()->at(0).offset, 42);
  ingest.reset();
  EXPECT_EQ(ingests_->Status(kRef)->offset, 0);
}

TEST_F(IngestTest, AdoptsAFinishedLayerAsALink) {
  const VerifiedFile seed = Finished("layer");
  auto ingest = Open(kRef, 5);
  const auto kind = ingest->Adopt(seed, never_);
  ASSERT_TRUE(kind.ok()) << kind.status();
  EXPECT_EQ(*kind, AdoptKind::kLink);
  EXPECT_EQ(ingest->offset(), 5);
  EXPECT_EQ(ingest->digest(), seed.digest);
  EXPECT_TRUE(ingest->settled());
  ASSERT_TRUE(ingest->Commit(5, seed.digest.str()).ok());
  EXPECT_EQ(Links(BlobPath(seed.digest)), 2U);
}

TEST_F(IngestTest, WritingToAnAdoptedLayerLeavesTheSeedAlone) {
  const VerifiedFile seed = Finished("layer");
  auto ingest = Open(kRef, 5);
  ASSERT_TRUE(ingest->Adopt(seed, never_).ok());
  ASSERT_TRUE(ingest->Append("+more").ok());
  EXPECT_EQ(ingest->digest(), base::Digest::Of("layer+more"));
  EXPECT_EQ(Slurp(Folder() + "/data"), "layer+more");
  EXPECT_EQ(Slurp(dir_.path() + "/seed"), "layer");
  EXPECT_EQ(Links(dir_.path() + "/seed"), 1U);
}

TEST_F(IngestTest, AnAdoptedLayerIsSafeAfterARestartToo) {
  const VerifiedFile seed = Finished("layer");
  for (const bool other_name_gone : {false, true}) {
    ASSERT_TRUE(Open(kRef, 5)->Adopt(seed, never_).ok());
    if (other_name_gone) std::filesystem::rename(dir_.path() + "/seed", dir_.path() + "/kept");
    Reopen();
    auto ingest = Open(kRef, 5);
    EXPECT_EQ(ingest->offset(), 5);
    ASSERT_TRUE(ingest->Truncate().ok());
    ASSERT_TRUE(ingest->Append("other").ok());
    EXPECT_EQ(Slurp(dir_.path() + (other_name_gone ? "/kept" : "/seed")), "layer");
    EXPECT_EQ(Slurp(Folder() + "/data"), "other");
    ASSERT_TRUE(ingest->Remove().ok());
  }
}

TEST_F(IngestTest, ADataFileThatMayNotBeWrittenIsNotWritten) {
  // The cache has evicted its name; somebody may still be reading from the inode.
  const VerifiedFile seed = Finished("layer");
  ASSERT_TRUE(Open(kRef, 5)->Adopt(seed, never_).ok());
  std::filesystem::remove(dir_.path() + "/seed");
  auto ingest = Open(kRef, 5);
  ASSERT_TRUE(ingest->Truncate().ok());
  EXPECT_EQ(*base::ReadAt(seed.fd.get(), 0, 100), "layer");
}

TEST_F(IngestTest, CopiesWhereALinkIsImpossible) {
  VerifiedFile seed = Finished("layer");
  // No name is left to link to.
  std::filesystem::remove(dir_.path() + "/seed");
  auto ingest = Open(kRef, 5);
  const auto kind = ingest->Adopt(seed, never_);
  ASSERT_TRUE(kind.ok()) << kind.status();
  EXPECT_NE(*kind, AdoptKind::kLink);
  ASSERT_TRUE(ingest->Commit(5, seed.digest.str()).ok());
  EXPECT_EQ(Slurp(BlobPath(seed.digest)), "layer");
  EXPECT_EQ(Links(BlobPath(seed.digest)), 1U);
}

TEST_F(IngestTest, AFailedAdoptionChangesNothing) {
  VerifiedFile seed = Finished("layer");
  std::filesystem::remove(dir_.path() + "/seed");
  seed.size_bytes = 6;
  auto ingest = Open(kRef, 6);
  EXPECT_FALSE(ingest->Adopt(seed, never_).ok());
  EXPECT_EQ(ingest->offset(), 0);
  ASSERT_TRUE(ingest->Append("abcdef").ok());
  EXPECT_TRUE(ingest->Commit(6, base::Digest::Of("abcdef").str()).ok());
}

TEST_F(IngestTest, CommitAfterTheSameInodeIsThereAnswersAlreadyExists) {
  // rename(2) of two names of one inode does nothing and says it succeeded.
  const VerifiedFile seed = Finished("layer");
  auto one = Open("a", 5);
  auto two = Open("b", 5);
  ASSERT_TRUE(one->Adopt(seed, never_).ok());
  ASSERT_TRUE(two->Adopt(seed, never_).ok());
  EXPECT_TRUE(one->Commit(5, "").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(two->Commit(5, "")));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() + "/ingest"));
}

TEST_F(IngestTest, ASecondProcessCannotHaveTheRoot) {
  // Open() would wait for a restart to end; a descriptor of ours stands for the other process.
  auto other = base::OpenFile(dir_.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(other.ok());
  EXPECT_NE(::flock(other->get(), LOCK_EX | LOCK_NB), 0);
}

TEST_F(IngestTest, DeleteOfAnOpenBlobFreesIt) {
  ASSERT_TRUE(Open()->Append("x").ok());
  ASSERT_TRUE(Open()->Commit(1, "").ok());
  const BlobName name(base::Digest::Of("x"));
  std::weak_ptr<const OpenBlob> blob = *store_->OpenForRead(name);
  EXPECT_NE(store_->FindOpen(name), nullptr);
  ASSERT_TRUE(store_->Delete(name).ok());
  EXPECT_EQ(store_->FindOpen(name), nullptr);
  EXPECT_TRUE(blob.expired());
  EXPECT_TRUE(absl::IsNotFound(store_->OpenForRead(name).status()));
  EXPECT_TRUE(store_->Delete(name).ok());
}

}  // namespace
}  // namespace eagle::plugin
