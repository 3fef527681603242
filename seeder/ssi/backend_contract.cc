#include "seeder/ssi/backend_contract.h"

#include <algorithm>
#include <thread>
#include <vector>

namespace eagle::ssi {
namespace {

std::string Bytes(std::size_t size, unsigned seed = 0) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<char>((i * 7 + i / 251 + seed) % 256);
  return bytes;
}

}  // namespace

void BackendContract::SetUp() {
  backend_ = GetParam().open(dir_.path());
  if (backend_ == nullptr) GTEST_SKIP() << GetParam().name << " can not be had here";
}

absl::Status BackendContract::Put(const std::string& id, const std::string& data,
                                  const std::string& metainfo) {
  EAGLE_ASSIGN_OR_RETURN(const auto upload,
                         backend_->Create(id, static_cast<std::int64_t>(data.size()), metainfo));
  constexpr std::size_t kStep = 100'000;
  for (std::size_t at = 0; at < data.size(); at += kStep) {
    EAGLE_RETURN_IF_ERROR(upload->Write(std::string_view(data).substr(at, kStep)));
  }
  return upload->Commit();
}

absl::StatusOr<std::string> BackendContract::Get(const std::string& id, std::int64_t offset,
                                                 std::int64_t size) {
  std::string out;
  EAGLE_RETURN_IF_ERROR(backend_->Download(id, offset, size, [&](std::string_view data) {
    out += data;
    return absl::OkStatus();
  }));
  return out;
}

std::string BackendContract::ListOf(const std::string& prefix) {
  std::vector<std::string> ids;
  const absl::Status status = backend_->List(prefix, [&](const LayerInfo& info) {
    ids.push_back(info.id + ":" + std::to_string(info.size_bytes));
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  std::sort(ids.begin(), ids.end());
  std::string out;
  for (const std::string& id : ids) out += (out.empty() ? "" : " ") + id;
  return out;
}

TEST_P(BackendContract, ALayerIsThereOnceItIsCommitted) {
  const std::string data = Bytes(250'000);
  auto upload = backend_->Create("ab12", static_cast<std::int64_t>(data.size()), "a torrent");
  ASSERT_TRUE(upload.ok()) << upload.status();
  ASSERT_TRUE((*upload)->Write(data).ok());
  EXPECT_TRUE(absl::IsNotFound(backend_->Stat("ab12").status()));
  EXPECT_EQ(ListOf(""), "");
  ASSERT_TRUE((*upload)->Commit().ok());
  upload->reset();
  EXPECT_EQ(backend_->Stat("ab12")->size_bytes, 250'000);
  EXPECT_EQ(*backend_->Metainfo("ab12"), "a torrent");
  EXPECT_TRUE(*Get("ab12") == data);
  EXPECT_EQ(ListOf(""), "ab12:250000");
}

TEST_P(BackendContract, AnUploadThatIsGivenUpLeavesNothing) {
  {
    auto upload = backend_->Create("ab12", 100, "torrent");
    ASSERT_TRUE(upload.ok()) << upload.status();
    ASSERT_TRUE((*upload)->Write(std::string(100, 'x')).ok());
  }
  EXPECT_TRUE(absl::IsNotFound(backend_->Stat("ab12").status()));
  EXPECT_TRUE(absl::IsNotFound(backend_->Metainfo("ab12").status()));
  EXPECT_EQ(ListOf(""), "");
}

TEST_P(BackendContract, AWrongLengthIsNotCommitted) {
  for (const std::size_t size : {std::size_t{99}, std::size_t{101}}) {
    auto upload = backend_->Create("ab12", 100, "torrent");
    ASSERT_TRUE(upload.ok()) << upload.status();
    // A back end may notice at once that it is too much.
    absl::Status status = (*upload)->Write(std::string(size, 'x'));
    if (status.ok()) status = (*upload)->Commit();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
  EXPECT_TRUE(absl::IsNotFound(backend_->Stat("ab12").status()));
}

TEST_P(BackendContract, ALargeLayerStreams) {
  const std::string data = Bytes(21'000'001);
  ASSERT_TRUE(Put("large", data).ok());
  EXPECT_TRUE(*Get("large") == data);
  EXPECT_TRUE(*Get("large", 8'388'600, 100) == data.substr(8'388'600, 100));
  EXPECT_TRUE(*Get("large", 20'999'999, 100) == data.substr(20'999'999));
}

TEST_P(BackendContract, AnEmptyLayerAndAnEmptyTorrentAreFine) {
  const absl::Status status = Put("empty", "", "");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(backend_->Stat("empty")->size_bytes, 0);
  EXPECT_EQ(*backend_->Metainfo("empty"), "");
  EXPECT_EQ(*Get("empty"), "");
}

TEST_P(BackendContract, RangesEndWhereTheLayerEnds) {
  ASSERT_TRUE(Put("ab", "0123456789").ok());
  EXPECT_EQ(*Get("ab", 3, 4), "3456");
  EXPECT_EQ(*Get("ab", 8, 100), "89");
  EXPECT_EQ(*Get("ab", 0, 0), "");
  EXPECT_EQ(*Get("ab", 10, 5), "");
}

TEST_P(BackendContract, ASinkEndsADownloadWithItsError) {
  ASSERT_TRUE(Put("ab", Bytes(3 << 20)).ok());
  const absl::Status status = backend_->Download(
      "ab", 0, 3 << 20, [](std::string_view) { return absl::DataLossError("enough"); });
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST_P(BackendContract, ASecondUploadReplacesTheFirst) {
  ASSERT_TRUE(Put("ab", "one", "first").ok());
  ASSERT_TRUE(Put("ab", "second", "other").ok());
  EXPECT_EQ(*Get("ab"), "second");
  EXPECT_EQ(*backend_->Metainfo("ab"), "other");
  EXPECT_EQ(ListOf(""), "ab:6");
}

TEST_P(BackendContract, TheTorrentCanBeReplaced) {
  EXPECT_TRUE(absl::IsNotFound(backend_->SetMetainfo("ab", "torrent")));
  ASSERT_TRUE(Put("ab", "data", "old").ok());
  ASSERT_TRUE(backend_->SetMetainfo("ab", Bytes(100'000)).ok());
  EXPECT_TRUE(*backend_->Metainfo("ab") == Bytes(100'000));
  EXPECT_EQ(*Get("ab"), "data");
}

TEST_P(BackendContract, WhatIsDeletedIsGone) {
  ASSERT_TRUE(Put("ab", "data").ok());
  ASSERT_TRUE(backend_->Delete("ab").ok());
  EXPECT_TRUE(absl::IsNotFound(backend_->Stat("ab").status()));
  EXPECT_TRUE(absl::IsNotFound(backend_->Metainfo("ab").status()));
  EXPECT_TRUE(absl::IsNotFound(Get("ab").status()));
  EXPECT_TRUE(backend_->Delete("ab").ok());
}

TEST_P(BackendContract, ListsByPrefix) {
  for (const char* id : {"aa1", "aa2", "ab", "b"}) ASSERT_TRUE(Put(id, "x").ok());
  EXPECT_EQ(ListOf(""), "aa1:1 aa2:1 ab:1 b:1");
  EXPECT_EQ(ListOf("a"), "aa1:1 aa2:1 ab:1");
  EXPECT_EQ(ListOf("aa"), "aa1:1 aa2:1");
  EXPECT_EQ(ListOf("c"), "");
  int visits = 0;
  ASSERT_TRUE(backend_->List("", [&](const LayerInfo&) { return ++visits < 2; }).ok());
  EXPECT_EQ(visits, 2);
}

TEST_P(BackendContract, LocationsNameTheLayer) {
  EXPECT_NE(backend_->DataLocation("ab").find("ab"), std::string::npos);
  EXPECT_NE(backend_->TorrentLocation("ab").find("ab"), std::string::npos);
  EXPECT_NE(backend_->DataLocation("ab"), backend_->TorrentLocation("ab"));
}

TEST_P(BackendContract, LayersOutliveTheProcess) {
  if (!GetParam().durable) GTEST_SKIP() << "keeps nothing";
  ASSERT_TRUE(Put("ab", "data").ok());
  backend_.reset();
  backend_ = GetParam().open(dir_.path());
  EXPECT_EQ(*Get("ab"), "data");
  EXPECT_EQ(*backend_->Metainfo("ab"), "torrent");
}

TEST_P(BackendContract, ManyThreadsMayUseIt) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      // Two threads each share a layer of the same bytes.
      const std::string id = "t" + std::to_string(i / 2);
      const std::string data = Bytes(200'000, i / 2);
      for (int round = 0; round < 3; ++round) {
        const absl::Status status = Put(id, data);
        EXPECT_TRUE(status.ok()) << status;
        const auto got = Get(id);
        EXPECT_TRUE(got.ok()) << got.status();
        EXPECT_TRUE(got.value_or("") == data);
        EXPECT_TRUE(backend_->List("t", [](const LayerInfo&) { return true; }).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace eagle::ssi
