#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "lib/base/thread_pool.h"
#include "lib/observe/metrics.h"
#include "lib/testing/temp_dir.h"
#include "plugin/testing/fault_file_system.h"
#include "plugin/write_session.h"

// What is on disk when an answer goes out, so that COMMIT inside of containerd's transaction has
// only to rename.
namespace eagle::plugin {
namespace {

using testing::FaultDisk;

constexpr char kRef[] = "default/1/layer-x";
const std::string kBytes = "the bytes of a layer";
const auto kSize = static_cast<std::int64_t>(kBytes.size());

class NoLayers final : public LayerSupply {
 public:
  std::unique_ptr<Ticket> Get(Request, Done done) override {
    done({.reason = Fallback::kDisabled});
    return std::make_unique<NoTicket>();
  }
  void Deleted(const base::Digest& /*digest*/) override {}

 private:
  class NoTicket final : public Ticket {
   public:
    void Cancel() override {}
  };
};

class StoreOrder : public ::testing::Test {
 protected:
  StoreOrder() {
    store_ = *ContentStore::Open(dir_.path(), disk_.Connect());
    ingests_ = *IngestStore::Open(*store_);
  }

  // Sends a message as the next one of the stream and waits for its answer.
  WriteSession::Reply Send(WriteSession& session, WriteSession::Request request) {
    std::promise<absl::StatusOr<WriteSession::Reply>> answer;
    session.Handle(std::move(request), [&](absl::StatusOr<WriteSession::Reply> reply) {
      answer.set_value(std::move(reply));
    });
    absl::StatusOr<WriteSession::Reply> reply = answer.get_future().get();
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.value_or(WriteSession::Reply{});
  }
  std::shared_ptr<WriteSession> NewSession() {
    return std::make_shared<WriteSession>(WriteParts{.store = *store_,
                                                     .ingests = *ingests_,
                                                     .index = index_,
                                                     .layers = layers_,
                                                     .metrics = metrics_,
                                                     .calls = calls_,
                                                     .bulk = bulk_});
  }
  static WriteSession::Request Stat() {
    return {.action = WriteSession::Action::kStat,
            .ref = kRef,
            .total = kSize,
            .expected = "",
            .offset = 0,
            .data = ""};
  }
  static WriteSession::Request Write(std::size_t from, std::size_t size) {
    return {.action = WriteSession::Action::kWrite,
            .ref = kRef,
            .total = kSize,
            .expected = "",
            .offset = static_cast<std::int64_t>(from),
            .data = kBytes.substr(from, size)};
  }
  static WriteSession::Request Commit() {
    return {.action = WriteSession::Action::kCommit,
            .ref = kRef,
            .total = kSize,
            .expected = base::Digest::Of(kBytes).str(),
            .offset = kSize,
            .data = ""};
  }
  [[nodiscard]] std::string Data() const {
    return dir_.path() + "/ingest/" + base::Digest::Of(kRef).hex() + "/data";
  }
  // Where in the journal a call was made; fails the test when it was not.
  std::size_t Find(const std::string& call, std::size_t from = 0) {
    const auto& journal = disk_.journal();
    const auto begin = journal.begin() + static_cast<std::ptrdiff_t>(from);
    const auto found = std::find(begin, journal.end(), call);
    EXPECT_NE(found, journal.end()) << call << " was not called";
    return static_cast<std::size_t>(found - journal.begin());
  }

  eagle::testing::TempDir dir_;
  FaultDisk disk_{dir_.path()};
  std::unique_ptr<ContentStore> store_;
  std::unique_ptr<IngestStore> ingests_;
  observe::MetricsRegistry registry_;
  PluginMetrics metrics_{registry_};
  ManifestIndex index_;
  NoLayers layers_;
  base::ThreadPool calls_{1};
  base::ThreadPool bulk_{1};
};

TEST_F(StoreOrder, TheLastBytesAreDurableBeforeTheirAnswer) {
  const auto session = NewSession();
  Send(*session, Stat());
  EXPECT_EQ(Send(*session, Write(0, 5)).offset, 5);
  EXPECT_FALSE(disk_.IsSynced(Data()));
  EXPECT_EQ(Send(*session, Write(5, kBytes.size())).offset, kSize);
  EXPECT_TRUE(disk_.IsSynced(Data()));
  session->Close();
}

TEST_F(StoreOrder, WhatAnEarlierStreamLeftIsDurableBeforeTheSecondStatIsAnswered) {
  {
    auto ingest = ingests_->OpenIngest(kRef, kSize, "");
    ASSERT_TRUE(ingest.ok());
    ASSERT_TRUE((*ingest)->Append(kBytes).ok());
  }
  const auto session = NewSession();
  EXPECT_EQ(Send(*session, Stat()).offset, kSize);
  EXPECT_FALSE(disk_.IsSynced(Data())) << "a sync inside of containerd's transaction";
  const WriteSession::Reply second = Send(*session, Stat());
  EXPECT_EQ(second.digest, base::Digest::Of(kBytes).str());
  EXPECT_TRUE(disk_.IsSynced(Data()));
  session->Close();
}

TEST_F(StoreOrder, ACommitSyncsBytesRenamesAndSyncsTheFolderInThisOrder) {
  const auto session = NewSession();
  Send(*session, Stat());
  Send(*session, Write(0, kBytes.size()));
  const std::size_t before_commit = disk_.journal().size();
  Send(*session, Commit());
  const std::string blob = store_->PathOf(BlobName(base::Digest::Of(kBytes)));
  const std::size_t written = Find("write " + Data());
  const std::size_t synced = Find("sync " + Data(), written);
  const std::size_t renamed = Find(fmt::format("rename {} {}", Data(), blob), synced);
  Find("sync " + dir_.path() + "/blobs/sha256", renamed);
  // The commit itself writes and syncs no bytes.
  EXPECT_LT(synced, before_commit);
  EXPECT_GE(renamed, before_commit);
  EXPECT_EQ(std::count(disk_.journal().begin(), disk_.journal().end(), "sync " + Data()), 1);
  session->Close();
}

}  // namespace
}  // namespace eagle::plugin
