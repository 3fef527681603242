#include "seeder/durable_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"
#include "lib/observe/metrics.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "seeder/file_storage.h"
#include "seeder/origin_fetch.h"
#include "seeder/seeder_fakes.h"
#include "seeder/ssi/fs_backend.h"

namespace eagle::seeder {
namespace {

using ::testing::HasSubstr;

// A folder that has trouble when told so.
class TroubledBackend final : public ssi::Backend {
 public:
  struct Trouble {
    /// Calls of Create() that fail before one does not.
    std::atomic<int> failing_creates = 0;
    /// Create() waits for this.
    absl::Notification* create_waits = nullptr;
    std::atomic<bool> stat_fails = false;
    /// A download fails after so many bytes.
    std::atomic<std::int64_t> cut_after = INT64_MAX;
    std::atomic<bool> wrong_bytes = false;
  };

  TroubledBackend(std::unique_ptr<ssi::Backend> inner, Trouble& trouble)
      : inner_(std::move(inner)), trouble_(trouble) {}

  absl::StatusOr<std::unique_ptr<ssi::Upload>> Create(const std::string& id,
                                                      std::int64_t size_bytes,
                                                      const std::string& metainfo) override {
    if (trouble_.create_waits != nullptr) trouble_.create_waits->WaitForNotification();
    if (trouble_.failing_creates-- > 0) return absl::UnavailableError("not now");
    return inner_->Create(id, size_bytes, metainfo);
  }
  absl::StatusOr<ssi::LayerInfo> Stat(const std::string& id) override {
    if (trouble_.stat_fails) return absl::UnavailableError("gone fishing");
    return inner_->Stat(id);
  }
  absl::StatusOr<std::string> Metainfo(const std::string& id) override {
    return inner_->Metainfo(id);
  }
  absl::Status SetMetainfo(const std::string& id, const std::string& metainfo) override {
    return inner_->SetMetainfo(id, metainfo);
  }
  absl::Status Download(const std::string& id, std::int64_t offset, std::int64_t size_bytes,
                        const Sink& sink) override {
    const std::int64_t size = std::min<std::int64_t>(size_bytes, trouble_.cut_after);
    EAGLE_RETURN_IF_ERROR(inner_->Download(id, offset, size, [&](std::string_view data) {
      std::string bytes(data);
      if (trouble_.wrong_bytes) bytes.back() ^= 1;
      return sink(bytes);
    }));
    return size < size_bytes ? absl::UnavailableError("broke off") : absl::OkStatus();
  }
  absl::Status Delete(const std::string& id) override { return inner_->Delete(id); }
  absl::Status List(const std::string& prefix, const Visitor& visitor) override {
    return inner_->List(prefix, visitor);
  }
  std::string DataLocation(const std::string& id) override { return inner_->DataLocation(id); }
  std::string TorrentLocation(const std::string& id) override {
    return inner_->TorrentLocation(id);
  }

 private:
  const std::unique_ptr<ssi::Backend> inner_;
  Trouble& trouble_;
};

class DurableTierTest : public ::testing::Test {
 protected:
  DurableTierTest() {
    auto storage = FileStorage::Open(dir_.path() + "/disk", base::KiB(64), clock_);
    EXPECT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
    Open();
  }

  void Open() {
    fetch_.reset();
    tier_.reset();
    auto backend = ssi::FsBackend::Open(dir_.path() + "/tier");
    ASSERT_TRUE(backend.ok()) << backend.status();
    DurableTier::Options options;
    options.retry_delay = std::chrono::milliseconds(1);
    options.attempts = 3;
    tier_ = std::make_unique<DurableTier>(
        std::make_unique<TroubledBackend>(*std::move(backend), trouble_), *storage_, metrics_,
        options);
    fetch_ = std::make_unique<OriginFetch>(origins_, *storage_, swarm_, tier_.get(), metrics_);
  }

  absl::StatusOr<std::string> Fetch(const std::string& content) {
    registry::Cancellation never;
    return fetch_->Run(
        UrlOf(content), [](std::int64_t, std::int64_t) {}, never);
  }
  // Fetched from the registry, copied, and evicted again.
  void FetchAndEvict(const std::string& content) {
    origins_.Put(content);
    ASSERT_TRUE(Fetch(content).ok());
    tier_->WaitUntilIdle();
    ASSERT_TRUE(storage_->Remove(base::Digest::Of(content)).ok());
  }
  void ExpectStored(const std::string& content) {
    const base::Digest digest = base::Digest::Of(content);
    const auto layer = storage_->Find(digest);
    ASSERT_TRUE(layer);
    EXPECT_TRUE(layer->complete);
    EXPECT_EQ(layer->metainfo, TorrentOf(content));
    EXPECT_EQ(*storage_->Read(digest, 0, 1 << 20), content);
  }
  bool IsKept(const std::string& content) {
    const auto backend = ssi::FsBackend::Open(dir_.path() + "/tier");
    return (*backend)->Stat(base::Digest::Of(content).hex()).ok();
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  SeederMetrics metrics_{registry_};
  FakeSwarm swarm_;
  FakeOrigins origins_;
  TroubledBackend::Trouble trouble_;
  std::unique_ptr<FileStorage> storage_;
  std::unique_ptr<DurableTier> tier_;
  std::unique_ptr<OriginFetch> fetch_;
};

TEST_F(DurableTierTest, AnEvictedLayerComesBackWithoutTheRegistry) {
  FetchAndEvict("content");
  const auto metainfo = Fetch("content");
  ASSERT_TRUE(metainfo.ok()) << metainfo.status();
  EXPECT_EQ(*metainfo, TorrentOf("content"));
  ExpectStored("content");
  EXPECT_EQ(origins_.asked().size(), 1u);
  EXPECT_THAT(registry_.Expose(), HasSubstr("eagle_seeder_restored_bytes_total 7"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("eagle_seeder_origin_bytes_total 7"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("eagle_seeder_kept_layers_total{result=\"ok\"} 1"));
}

TEST_F(DurableTierTest, ALayerThatBreaksOffIsCompletedFromTheRegistry) {
  FetchAndEvict("content");
  trouble_.cut_after = 3;
  ASSERT_TRUE(Fetch("content").ok());
  ExpectStored("content");
  EXPECT_EQ(origins_.asked().size(), 2u);
}

TEST_F(DurableTierTest, OneThatBreaksOffAtOnceIsFetchedFromTheRegistry) {
  FetchAndEvict("content");
  trouble_.cut_after = 0;
  ASSERT_TRUE(Fetch("content").ok());
  ExpectStored("content");
}

TEST_F(DurableTierTest, WrongBytesAreDeletedAndFetchedTheNextTime) {
  FetchAndEvict("content");
  trouble_.wrong_bytes = true;
  EXPECT_TRUE(absl::IsUnavailable(Fetch("content").status()));
  EXPECT_FALSE(storage_->Find(base::Digest::Of("content")));
  EXPECT_FALSE(IsKept("content"));
  ASSERT_TRUE(Fetch("content").ok());
  ExpectStored("content");
  EXPECT_EQ(origins_.asked().size(), 2u);
}

TEST_F(DurableTierTest, ABackEndInTroubleDoesNotStandInTheWay) {
  FetchAndEvict("content");
  trouble_.stat_fails = true;
  ASSERT_TRUE(Fetch("content").ok());
  ExpectStored("content");
  EXPECT_EQ(origins_.asked().size(), 2u);
}

TEST_F(DurableTierTest, CopyingIsTriedAgainAndThenGivenUp) {
  trouble_.failing_creates = 2;
  origins_.Put("one");
  ASSERT_TRUE(Fetch("one").ok());
  tier_->WaitUntilIdle();
  EXPECT_TRUE(IsKept("one"));
  trouble_.failing_creates = 3;
  origins_.Put("two");
  ASSERT_TRUE(Fetch("two").ok());
  tier_->WaitUntilIdle();
  EXPECT_FALSE(IsKept("two"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("eagle_seeder_kept_layers_total{result=\"failed\"} 1"));
}

TEST_F(DurableTierTest, WhatTheDiskHasAtTheStartIsCopied) {
  trouble_.failing_creates = 3;
  origins_.Put("content");
  ASSERT_TRUE(Fetch("content").ok());
  tier_->WaitUntilIdle();
  ASSERT_FALSE(IsKept("content"));
  Open();
  tier_->KeepAll({base::Digest::Of("content"), base::Digest::Of("never seen")});
  tier_->WaitUntilIdle();
  EXPECT_TRUE(IsKept("content"));
}

TEST_F(DurableTierTest, LayersStayUntilTheyAreCopied) {
  absl::Notification go;
  trouble_.create_waits = &go;
  // Two fill the disk: one is being copied, the other waits for that.
  const std::string copying(30 << 10, 'x');
  const std::string waiting(30 << 10, 'y');
  const std::string next(30 << 10, 'z');
  for (const std::string& content : {copying, waiting, next}) origins_.Put(content);
  ASSERT_TRUE(Fetch(copying).ok());
  ASSERT_TRUE(Fetch(waiting).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Fetch(next).status()));
  EXPECT_EQ(tier_->waiting(), 2);
  go.Notify();
  tier_->WaitUntilIdle();
  ASSERT_TRUE(Fetch(next).ok());
  EXPECT_FALSE(storage_->Find(base::Digest::Of(copying)));
  EXPECT_TRUE(IsKept(copying));
  EXPECT_TRUE(IsKept(waiting));
}

TEST_F(DurableTierTest, CancelEndsARestore) {
  FetchAndEvict("content");
  registry::Cancellation cancelled;
  cancelled.Cancel();
  const auto result = fetch_->Run(
      UrlOf("content"), [](std::int64_t, std::int64_t) {}, cancelled);
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  EXPECT_FALSE(storage_->Find(base::Digest::Of("content")));
}

}  // namespace
}  // namespace eagle::seeder
