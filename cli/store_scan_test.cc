#include "cli/store_scan.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "cli/scratch_host.h"
#include "lib/base/digest.h"

namespace eagle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StoreScan : public ::testing::Test {
 protected:
  std::string Put(const std::string& content) {
    const std::string path = "/blobs/sha256/" + base::Digest::Of(content).hex();
    host_.Write(path, content);
    return path;
  }
  VerifyResult Verify(base::ByteRate rate = {}) {
    auto result = VerifyStore(host_.root(), rate);
    EXPECT_TRUE(result.ok()) << result.status();
    return *std::move(result);
  }
  // The one thing that is wrong.
  BadBlob OnlyBad() {
    const VerifyResult result = Verify();
    EXPECT_THAT(result.bad, SizeIs(1));
    return result.bad.empty() ? BadBlob{} : result.bad.front();
  }

  ScratchHost host_;
};

TEST_F(StoreScan, AGoodStoreHasNothingBad) {
  Put("one");
  Put(std::string(3 << 20, 'x'));
  const VerifyResult result = Verify();
  EXPECT_EQ(result.blobs, 2);
  EXPECT_EQ(result.bytes, (3 << 20) + 3);
  EXPECT_THAT(result.bad, IsEmpty());
}

TEST_F(StoreScan, FindsARottedBlob) {
  const std::string path = Put("sound");
  Put("good");
  host_.Write(path, "sounD");
  const BadBlob bad = OnlyBad();
  EXPECT_EQ(bad.blob.digest, base::Digest::Of("sound").str());
  EXPECT_THAT(bad.problem, HasSubstr("rotted or truncated"));
}

TEST_F(StoreScan, FindsATruncatedBlob) {
  std::filesystem::resize_file(host_.At(Put(std::string(2 << 20, 'y'))), 1 << 20);
  EXPECT_THAT(OnlyBad().problem, HasSubstr("1048576 bytes"));
}

TEST_F(StoreScan, FindsWhatIsNoBlob) {
  Put("good");
  host_.Write("/blobs/sha256/README", "a name that none has");
  EXPECT_THAT(OnlyBad().problem, HasSubstr("name"));
  host_.Remove("/blobs/sha256/README");
  host_.Write("/blobs/stray", "a file among folders");
  EXPECT_EQ(OnlyBad().blob.digest, "./stray");
  host_.Remove("/blobs/stray");
  ASSERT_EQ(::symlink("/etc/passwd",
                      host_.At("/blobs/sha256/" + base::Digest::Of("other").hex()).c_str()),
            0);
  EXPECT_THAT(OnlyBad().problem, HasSubstr("not a regular file"));
}

TEST_F(StoreScan, BlobsOfAnotherAlgorithmAreCountedAsUnchecked) {
  Put("good");
  host_.Write("/blobs/sha512/" + std::string(128, 'a'), "x");
  const VerifyResult result = Verify();
  EXPECT_EQ(result.unchecked, 1);
  EXPECT_THAT(result.bad, IsEmpty());
}

TEST_F(StoreScan, ReadsNoFasterThanTold) {
  Put(std::string(2 << 20, 'z'));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(Verify({20 << 20}).bad, IsEmpty());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(100));
}

TEST_F(StoreScan, VerifyingDoesNotCountAsUse) {
  const std::string path = host_.At(Put("content"));
  const timespec old[2]{{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 2000, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
  Verify();
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_atim.tv_sec, 1000);
}

TEST_F(StoreScan, KnowsSharedBlobsAndUploads) {
  const std::string path = Put("layer");
  std::filesystem::create_hard_link(host_.At(path), host_.At("/cached"));
  host_.Write("/ingest/abc/data", "12345");
  host_.Write("/ingest/abc/ref", "k8s.io/1/layer");
  std::uint64_t links = 0;
  ASSERT_TRUE(ForEachBlob(host_.root(), [&](const StoredBlob& blob) { links = blob.links; }).ok());
  EXPECT_EQ(links, 2U);
  const auto ingests = ListIngests(host_.root());
  ASSERT_TRUE(ingests.ok());
  ASSERT_THAT(*ingests, SizeIs(1));
  EXPECT_EQ(ingests->front().ref, "k8s.io/1/layer");
  EXPECT_EQ(ingests->front().size_bytes, 5);
}

TEST_F(StoreScan, AFolderThatIsNoStoreIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(VerifyStore(host_.root() + "/none", {}).status()));
}

}  // namespace
}  // namespace eagle::cli
