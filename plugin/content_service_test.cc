#include "plugin/content_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/base/file.h"
#include "plugin/testing/node.h"
#include "plugin/testing/wait.h"

// The store over a real socket, with the generated client: what containerd's own content server
// does, seen from outside.
namespace eagle::plugin {
namespace {

using testing::ContentClient;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Node;
using ::testing::SizeIs;
using testing::WriteCall;

const std::string kRef = "default/1/config-x";

std::string Sha(const std::string& content) {
  return base::Digest::Of(content).str();
}

TEST(ContentService, StoresWhatIsWritten) {
  Node node;
  auto write = node.client().OpenWrite(kRef);
  const auto stat = write->Stat(6);
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->offset(), 0);
  EXPECT_EQ(stat->total(), 6);
  EXPECT_EQ(stat->digest(), Sha(""));
  EXPECT_GT(stat->started_at().seconds(), 1'000'000'000);
  auto reply = write->Write(0, "abc");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->action(), containerd::services::content::v1::WriteAction::WRITE);
  EXPECT_EQ(reply->offset(), 3);
  EXPECT_EQ(reply->digest(), Sha("abc"));
  reply = write->Write(3, "def");
  ASSERT_TRUE(reply.has_value());
  reply = write->Commit(6, 6, Sha("abcdef"));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->action(), containerd::services::content::v1::WriteAction::COMMIT);
  EXPECT_EQ(reply->offset(), 6);
  EXPECT_EQ(reply->digest(), Sha("abcdef"));
  // The server ends the stream by itself.
  EXPECT_EQ(write->Receive(), std::nullopt);
  EXPECT_TRUE(write->End().ok());

  ContentClient::Info info;
  ASSERT_TRUE(node.client().GetInfo(Sha("abcdef"), &info).ok());
  EXPECT_EQ(info.digest(), Sha("abcdef"));
  EXPECT_EQ(info.size(), 6);
  EXPECT_GT(info.created_at().seconds(), 1'000'000'000);
  grpc::Status status;
  EXPECT_THAT(node.client().ListStatuses({}, &status), IsEmpty());
}

TEST(ContentService, TheFirstMessageNeedsARef) {
  Node node;
  auto write = node.client().OpenWrite("");
  EXPECT_EQ(write->Stat(), std::nullopt);
  EXPECT_EQ(write->End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(write->End().error_message(), "first message must have a reference");
}

TEST(ContentService, AStreamWithoutMessagesIsNoError) {
  Node node;
  EXPECT_TRUE(node.client().OpenWrite(kRef)->End().ok());
}

TEST(ContentService, ARefBelongsToOneStream) {
  Node node;
  auto first = node.client().OpenWrite(kRef);
  ASSERT_TRUE(first->Stat().has_value());
  auto second = node.client().OpenWrite(kRef);
  EXPECT_EQ(second->Stat(), std::nullopt);
  EXPECT_EQ(second->End().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(second->End().error_message(), HasSubstr("locked"));
  // The end of the stream frees it, before the client hears of the end.
  EXPECT_TRUE(first->End().ok());
  EXPECT_TRUE(node.client().OpenWrite(kRef)->Stat().has_value());
}

TEST(ContentService, AStreamThatDiesFreesItsRef) {
  Node node;
  auto first = node.client().OpenWrite(kRef);
  ASSERT_TRUE(first->Stat().has_value());
  first->Cancel();
  EXPECT_TRUE(Eventually([&] { return node.client().OpenWrite(kRef)->Stat().has_value(); }));
}

TEST(ContentService, ResumesAnIngest) {
  Node node;
  {
    auto write = node.client().OpenWrite(kRef);
    ASSERT_TRUE(write->Stat(6).has_value());
    ASSERT_TRUE(write->Write(0, "abc").has_value());
    EXPECT_TRUE(write->End().ok());
  }
  ContentClient::Status before;
  ASSERT_TRUE(node.client().GetStatus(kRef, &before).ok());
  EXPECT_EQ(before.offset(), 3);
  EXPECT_EQ(before.total(), 6);
  EXPECT_EQ(before.ref(), kRef);
  node.StopPlugin();
  node.StartPlugin();
  auto write = node.client().OpenWrite(kRef);
  auto stat = write->Stat(6);
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->offset(), 3);
  EXPECT_EQ(stat->started_at().seconds(), before.started_at().seconds());
  EXPECT_EQ(stat->started_at().nanos(), before.started_at().nanos());
  stat = write->Stat();
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->digest(), Sha("abc"));
  ASSERT_TRUE(write->Write(3, "def").has_value());
  EXPECT_TRUE(write->Commit(6, 6, Sha("abcdef")).has_value());
}

TEST(ContentService, AWriteElsewhereIsOutOfRangeAndOneAtZeroStartsOver) {
  Node node;
  {
    auto write = node.client().OpenWrite(kRef);
    ASSERT_TRUE(write->Write(0, "abc").has_value());
    EXPECT_EQ(write->Write(2, "x"), std::nullopt);
    EXPECT_EQ(write->End().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  }
  auto write = node.client().OpenWrite(kRef);
  ASSERT_TRUE(write->Stat().has_value());
  const auto reply = write->Write(0, "xy");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->offset(), 2);
  EXPECT_EQ(reply->digest(), Sha("xy"));
  EXPECT_TRUE(write->Commit(2, 2, Sha("xy")).has_value());
}

TEST(ContentService, CommitWithoutDataDoesNotTruncate) {
  Node node;
  auto write = node.client().OpenWrite(kRef);
  ASSERT_TRUE(write->Write(0, "abc").has_value());
  const auto reply = write->Commit(0, 3, Sha("abc"));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->offset(), 3);
}

TEST(ContentService, CommitMayBringTheData) {
  Node node;
  auto write = node.client().OpenWrite(kRef);
  WriteCall::Request request;
  request.set_action(containerd::services::content::v1::WriteAction::COMMIT);
  request.set_data("abc");
  request.set_expected(Sha("abc"));
  const auto reply = write->Send(request);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->digest(), Sha("abc"));
}

TEST(ContentService, CommitRefusesWhatDoesNotFit) {
  Node node;
  {
    auto write = node.client().OpenWrite(kRef);
    ASSERT_TRUE(write->Write(0, "abc").has_value());
    EXPECT_EQ(write->Commit(3, 4, Sha("abc")), std::nullopt);
    EXPECT_EQ(write->End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(write->End().error_message(), "unexpected commit size 3, expected 4");
  }
  {
    auto write = node.client().OpenWrite(kRef);
    ASSERT_TRUE(write->Stat().has_value());
    EXPECT_EQ(write->Commit(3, 3, Sha("abd")), std::nullopt);
    EXPECT_EQ(write->End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(write->End().error_message(), HasSubstr("unexpected commit digest " + Sha("abc")));
  }
  // The bytes stay, as in the built-in store: it is for the client to abort or to start over.
  ContentClient::Status status;
  EXPECT_TRUE(node.client().GetStatus(kRef, &status).ok());
  EXPECT_EQ(status.offset(), 3);
}

TEST(ContentService, WhatIsThereIsNotWrittenAgain) {
  Node node;
  ASSERT_TRUE(node.client().Put("a", "abc").ok());
  auto write = node.client().OpenWrite("b");
  EXPECT_EQ(write->Stat(3, Sha("abc")), std::nullopt);
  EXPECT_EQ(write->End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(node.client().Put("c", "abc").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  grpc::Status status;
  EXPECT_THAT(node.client().ListStatuses({}, &status), IsEmpty());
}

TEST(ContentService, TwoStreamsOfOneBlobBothFinish) {
  Node node;
  auto one = node.client().OpenWrite("a/1/x");
  auto two = node.client().OpenWrite("b/1/x");
  ASSERT_TRUE(one->Write(0, "abc").has_value());
  ASSERT_TRUE(two->Write(0, "abc").has_value());
  EXPECT_TRUE(one->Commit(3, 3, Sha("abc")).has_value());
  EXPECT_EQ(two->Commit(3, 3, Sha("abc")), std::nullopt);
  EXPECT_EQ(two->End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST(ContentService, AbortRemovesAnIngestAndIsNoErrorWithoutOne) {
  Node node;
  ASSERT_TRUE(node.client().OpenWrite(kRef)->Write(0, "abc").has_value());
  EXPECT_TRUE(node.client().Abort(kRef).ok());
  ContentClient::Status status;
  EXPECT_EQ(node.client().GetStatus(kRef, &status).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(node.client().Abort(kRef).ok());
}

TEST(ContentService, ReadsRanges) {
  Node node;
  std::string content;
  for (int i = 0; i < 700'000; ++i) content += std::to_string(i);
  ASSERT_GT(content.size(), 3U << 20);
  ASSERT_TRUE(node.client().Put(kRef, content).ok());
  grpc::Status status;
  const auto read = [&](std::int64_t offset, std::int64_t size) {
    return node.client().Read(Sha(content), offset, size, &status);
  };
  const auto end = static_cast<std::int64_t>(content.size());
  EXPECT_EQ(read(0, 0), content);
  EXPECT_EQ(read(0, -1), content);
  EXPECT_EQ(read(-5, 3), content.substr(0, 3));
  EXPECT_EQ(read(1'000'000, 32768), content.substr(1'000'000, 32768));
  EXPECT_EQ(read(7, 2'500'000), content.substr(7, 2'500'000));
  EXPECT_EQ(read(end - 3, 32768), content.substr(content.size() - 3));
  EXPECT_EQ(read(3, INT64_MAX), content.substr(3));
  EXPECT_EQ(read(end, 0), "");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(read(end + 1, 0), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST(ContentService, AnEmptyBlobIsABlob) {
  Node node;
  ASSERT_TRUE(node.client().Put(kRef, "").ok());
  grpc::Status status;
  EXPECT_EQ(node.client().Read(Sha(""), 0, 0, &status), "");
  EXPECT_TRUE(status.ok());
}

TEST(ContentService, ReportsWhatIsMissingOrMalformed) {
  Node node;
  grpc::Status status;
  ContentClient::Info info;
  const grpc::Status missing = node.client().GetInfo(Sha("x"), &info);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(missing.error_message(), "content " + Sha("x") + ": not found");
  node.client().Read(Sha("x"), 0, 0, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(node.client().Delete(Sha("x")).ok());
  EXPECT_EQ(node.client().Update(Sha("x")).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  for (const std::string& bad : {std::string(), std::string("sha256:../../../etc/passwd")}) {
    EXPECT_EQ(node.client().GetInfo(bad, &info).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    node.client().Read(bad, 0, 0, &status);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(node.client().Delete(bad).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(node.client().Update(bad).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  auto write = node.client().OpenWrite(kRef);
  EXPECT_EQ(write->Stat(3, "sha256:zz"), std::nullopt);
  EXPECT_EQ(write->End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(ContentService, ListsInBatchesAndByFilter) {
  Node node;
  for (int i = 0; i < 250; ++i) {
    const std::string content = std::to_string(i);
    std::ofstream(node.BlobPath(base::Digest::Of(content))) << content;
  }
  grpc::Status status;
  EXPECT_THAT(node.client().List({}, &status), SizeIs(250));
  const auto one = node.client().List({"digest==" + Sha("7")}, &status);
  ASSERT_THAT(one, SizeIs(1));
  EXPECT_EQ(one[0].digest(), Sha("7"));
  EXPECT_EQ(one[0].size(), 1);
  EXPECT_THAT(node.client().List({"digest~=^sha256:"}, &status), SizeIs(250));
  EXPECT_THAT(node.client().List({"labels.foo"}, &status), IsEmpty());
  EXPECT_THAT(node.client().List({"digest=="}, &status), IsEmpty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(ContentService, ListsBlobsOfEveryAlgorithmAndNothingElse) {
  Node node;
  const std::string root = node.config().root + "/blobs";
  const std::string name(128, 'b');
  std::filesystem::create_directories(root + "/sha512");
  std::filesystem::create_directories(root + "/md5");
  std::ofstream(root + "/sha512/" + name) << "x";
  std::ofstream(root + "/md5/" + std::string(32, 'a')) << "x";
  std::ofstream(root + "/sha256/junk") << "x";
  std::filesystem::create_directories(root + "/sha256/" + std::string(64, 'a'));
  grpc::Status status;
  const auto list = node.client().List({}, &status);
  ASSERT_THAT(list, SizeIs(1));
  EXPECT_EQ(list[0].digest(), "sha512:" + name);
  EXPECT_EQ(node.client().Read("sha512:" + name, 0, 0, &status), "x");
}

TEST(ContentService, ListsIngestsByFilter) {
  Node node;
  auto one = node.client().OpenWrite("default/1/one");
  ASSERT_TRUE(one->Write(0, "abc", 9).has_value());
  auto two = node.client().OpenWrite("default/2/two");
  ASSERT_TRUE(two->Stat().has_value());
  grpc::Status status;
  EXPECT_THAT(node.client().ListStatuses({}, &status), SizeIs(2));
  const auto found = node.client().ListStatuses({"ref~=one$"}, &status);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].ref(), "default/1/one");
  EXPECT_EQ(found[0].offset(), 3);
  EXPECT_EQ(found[0].total(), 9);
  node.client().ListStatuses({"ref=="}, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(ContentService, AnyRefIsOnlyAName) {
  Node node;
  for (const std::string& ref :
       {std::string("../../x"), std::string("layer-sha256:zz"), std::string("/etc/passwd"),
        std::string("a/1/layer-sha256:"), std::string(10'000, 'r')}) {
    EXPECT_TRUE(node.client().Put(ref, "content of " + ref).ok()) << ref;
    EXPECT_TRUE(node.client().Has(base::Digest::Of("content of " + ref)));
  }
  EXPECT_FALSE(node.client().Put(std::string(100'000, 'r'), "x").ok());
  EXPECT_TRUE(std::filesystem::is_empty(node.config().root + "/ingest"));
  EXPECT_THAT(node.sidecar().fetched(), IsEmpty());
}

TEST(ContentService, TakesMessagesAsLargeAsContainerds) {
  Node node;
  auto write = node.client().OpenWrite(kRef);
  const std::string content(15 << 20, 'x');
  const auto reply = write->Write(0, content);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(write->Commit(reply->offset(), reply->offset(), Sha(content)).has_value());
}

TEST(ContentService, A64MiBManifestOfJunkIsABlobLikeAny) {
  Node node;
  const std::string junk(64 << 20, '[');
  EXPECT_TRUE(node.client().Put("default/1/manifest-" + Sha(junk), junk).ok());
  EXPECT_TRUE(node.client().Has(base::Digest::Of(junk)));
  node.StopPlugin();
  node.StartPlugin();
  EXPECT_TRUE(node.client().Has(base::Digest::Of(junk)));
}

TEST(ContentService, ServesWhatTheBuiltInStoreHasAndLeavesItWhole) {
  Node node;
  node.StopPlugin();
  const base::Digest old = base::Digest::Of("old image");
  std::ofstream(node.BlobPath(old)) << "old image";
  node.StartPlugin();
  grpc::Status status;
  EXPECT_EQ(node.client().Read(old.str(), 0, 0, &status), "old image");
  node.StopPlugin();
  EXPECT_EQ(*base::ReadFile(node.BlobPath(old)), "old image");
}

TEST(ContentService, ThePluginsSocketIsForRootOnly) {
  Node node;
  struct stat info {};
  ASSERT_EQ(::stat(node.config().listen.substr(5).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(ContentService, CountsItsCalls) {
  Node node;
  ContentClient::Info info;
  node.client().GetInfo(Sha("x"), &info);
  node.client().GetInfo(Sha("x"), &info);
  ASSERT_TRUE(node.client().Put(kRef, "abc").ok());
  EXPECT_EQ(node.Metric("eagle_plugin_rpcs_total{code=\"NOT_FOUND\",method=\"Info\"}"), 2);
  EXPECT_EQ(node.Metric("eagle_plugin_rpcs_total{code=\"OK\",method=\"Write\"}"), 1);
  auto write = node.client().OpenWrite(kRef);
  ASSERT_TRUE(write->Stat().has_value());
  EXPECT_EQ(node.Metric("eagle_plugin_open_streams"), 1);
  EXPECT_EQ(node.Metric("eagle_plugin_ingests"), 1);
}

}  // namespace
}  // namespace eagle::plugin
