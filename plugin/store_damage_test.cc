#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"
#include "plugin/testing/content_client.h"
#include "plugin/testing/plugin_process.h"

// The real binary on real mounts: disks that are full or read-only, files that somebody damages,
// and clients that mean harm.
namespace eagle::plugin {
namespace {

using testing::ContentClient;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;
using ::testing::SizeIs;
using testing::WriteConfig;

constexpr std::size_t kMiB = 1 << 20;
constexpr unsigned kNobody = 65534;

std::string Bytes(char of, std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) bytes += fmt::format("{}{} ", of, bytes.size());
  bytes.resize(size);
  return bytes;
}
std::string Sha(const std::string& content) {
  return base::Digest::Of(content).str();
}

class StoreDamage : public ::testing::Test {
 protected:
  // A mount table of its own: nothing that is mounted here shows on the machine.
  static void SetUpTestSuite() {
    ASSERT_EQ(::geteuid(), 0U) << "this test needs root for mounts";
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
  StoreDamage() { std::filesystem::create_directory(root()); }
  ~StoreDamage() override {
    process_.reset();
    while (::umount2(root().c_str(), MNT_DETACH) == 0) {
    }
  }

  void Mount(const std::string& options) const {
    ASSERT_EQ(::mount("store", root().c_str(), "tmpfs", 0, options.c_str()), 0);
  }
  void Remount(unsigned long flags) const {
    ASSERT_EQ(::mount(nullptr, root().c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr), 0);
  }
  void Start(const std::function<void()>& prepare = {}) {
    process_.reset();
    WriteConfig(dir_.path(), dir_.path());
    process_ = std::make_unique<Process>(
        std::vector<std::string>{"--config", dir_.path() + "/plugin.yaml"}, prepare);
    client_ = std::make_unique<ContentClient>("unix:" + dir_.path() + "/plugin.sock");
  }
  [[nodiscard]] std::string root() const { return dir_.path() + "/content"; }
  [[nodiscard]] std::string PathOf(const std::string& content) const {
    return root() + "/blobs/sha256/" + base::Digest::Of(content).hex();
  }

  void ExpectReads(const std::string& content) {
    grpc::Status status;
    EXPECT_EQ(client_->Read(Sha(content), 0, 0, &status) == content, true) << "other bytes";
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  void ExpectFails(const grpc::Status& status, grpc::StatusCode code, const std::string& advice) {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(advice));
  }

  eagle::testing::TempDir dir_;
  std::unique_ptr<Process> process_;
  std::unique_ptr<ContentClient> client_;
};

TEST_F(StoreDamage, AFullDiskIsToldAndAnUploadGoesOnWhenThereIsRoom) {
  Mount("size=4m");
  Start();
  const std::string first = Bytes('a', 3 * kMiB);
  const std::string second = Bytes('b', 2 * kMiB);
  ASSERT_TRUE(client_->Put("default/1/a", first).ok());
  ExpectFails(client_->Put("default/2/b", second), grpc::StatusCode::RESOURCE_EXHAUSTED,
              "free space there");
  EXPECT_FALSE(client_->Has(base::Digest::Of(second)));
  ExpectReads(first);
  ContentClient::Status status;
  ASSERT_TRUE(client_->GetStatus("default/2/b", &status).ok());
  EXPECT_LT(status.offset(), 2 << 20);

  ASSERT_TRUE(client_->Delete(Sha(first)).ok());
  const auto size = static_cast<std::int64_t>(second.size());
  auto write = client_->OpenWrite("default/2/b");
  const auto stat = write->Stat(size);
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->offset(), status.offset());
  ASSERT_TRUE(write->Write(stat->offset(), second.substr(static_cast<std::size_t>(stat->offset())))
                  .has_value());
  EXPECT_TRUE(write->Commit(size, size, Sha(second)).has_value());
  ExpectReads(second);
}

TEST_F(StoreDamage, ADiskWithoutRoomForOneMoreFileIsToldWhereAnUploadBegins) {
  Mount("size=4m,nr_inodes=16");
  Start();
  ASSERT_TRUE(client_->Put("default/1/a", "abc").ok());
  for (int i = 0; i < 16; ++i) {
    const base::UniqueFd ignored(
        ::open(fmt::format("{}/filler{}", root(), i).c_str(), O_CREAT | O_WRONLY, 0600));
  }
  ExpectFails(client_->Put("default/2/b", "def"), grpc::StatusCode::RESOURCE_EXHAUSTED,
              "free space there");
  ExpectReads("abc");
  for (int i = 0; i < 16; ++i) ::unlink(fmt::format("{}/filler{}", root(), i).c_str());
  EXPECT_TRUE(client_->Put("default/2/b", "def").ok());
  ExpectReads("def");
}

TEST_F(StoreDamage, AReadOnlyDiskServesReadsAndSaysWhyNothingElse) {
  Mount("size=4m");
  Start();
  ASSERT_TRUE(client_->Put("default/1/a", "abc").ok());
  for (const bool restarted : {false, true}) {
    Remount(MS_RDONLY);
    if (restarted) Start();
    ExpectReads("abc");
    ExpectFails(client_->Put("default/2/b", "def"), grpc::StatusCode::PERMISSION_DENIED,
                "mount it read-write again");
    ExpectFails(client_->Delete(Sha("abc")), grpc::StatusCode::PERMISSION_DENIED,
                "mount it read-write again");
    ExpectReads("abc");
    Remount(0);
    EXPECT_TRUE(client_->Put("default/2/b", fmt::format("def{}", restarted)).ok());
  }
}

TEST_F(StoreDamage, WrongPermissionsAreToldAndReadsGoOn) {
  Start();
  ASSERT_TRUE(client_->Put("default/1/a", "abc").ok());
  EXPECT_EQ(process_->Signal(SIGTERM), 0);
  // Everything is root's, and the plugin is not root.
  ::chmod(dir_.path().c_str(), 0777);
  Start([] {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(126);
  });
  ExpectReads("abc");
  ExpectFails(client_->Put("default/2/b", "def"), grpc::StatusCode::PERMISSION_DENIED,
              "must belong to the user");
  ExpectFails(client_->Delete(Sha("abc")), grpc::StatusCode::PERMISSION_DENIED,
              "must belong to the user");
  ExpectReads("abc");
}

TEST_F(StoreDamage, BlobsThatAreDeletedCutOrReplacedAreSeenAsTheyAre) {
  Start();
  grpc::Status status;
  for (const std::string content : {"deleted", "shortened", "a link now", "a folder now"}) {
    ASSERT_TRUE(client_->Put("default/1/" + content, content).ok());
    // From here on it is kept open.
    ExpectReads(content);
  }
  ::unlink(PathOf("deleted").c_str());
  client_->Read(Sha("deleted"), 0, 0, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND) << status.error_message();
  EXPECT_TRUE(client_->Put("default/2/x", "deleted").ok());
  ExpectReads("deleted");

  ASSERT_EQ(::truncate(PathOf("shortened").c_str(), 5), 0);
  EXPECT_EQ(client_->Read(Sha("shortened"), 0, 0, &status), "short");
  client_->Read(Sha("shortened"), 6, 0, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);

  for (const std::string content : {"a link now", "a folder now"}) {
    ::unlink(PathOf(content).c_str());
  }
  ASSERT_EQ(::symlink("/etc/passwd", PathOf("a link now").c_str()), 0);
  std::filesystem::create_directory(PathOf("a folder now"));
  for (const std::string content : {"a link now", "a folder now"}) {
    EXPECT_EQ(client_->Read(Sha(content), 0, 0, &status), "");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL) << status.error_message();
    EXPECT_THAT(client_->List({"digest==" + Sha(content)}, &status), IsEmpty());
  }
}

TEST_F(StoreDamage, HostileRefsAreNamesOrRefusedAndLeaveNothing) {
  Start();
  const std::string refs[] = {"../../../etc/x",
                              "/etc/passwd",
                              "..",
                              ".",
                              "a\nb",
                              std::string("a\0b", 3),
                              "default/1/layer-sha256:../../x"};
  int number = 0;
  for (const std::string& ref : refs) {
    const std::string content = fmt::format("content {}", ++number);
    auto write = client_->OpenWrite(ref);
    ASSERT_TRUE(write->Write(0, content).has_value()) << ref;
    ContentClient::Status status;
    ASSERT_TRUE(client_->GetStatus(ref, &status).ok()) << ref;
    EXPECT_EQ(status.ref(), ref);
    const auto size = static_cast<std::int64_t>(content.size());
    EXPECT_TRUE(write->Commit(size, size, Sha(content)).has_value()) << ref;
    ExpectReads(content);
    EXPECT_TRUE(client_->Abort(ref).ok());
  }
  const std::string endless(kMiB, 'r');
  ExpectFails(client_->Put(endless, "x"), grpc::StatusCode::INVALID_ARGUMENT, "at most");
  ExpectFails(client_->Put("", "x"), grpc::StatusCode::INVALID_ARGUMENT, "reference");
  ContentClient::Status status;
  ExpectFails(client_->GetStatus(endless, &status), grpc::StatusCode::NOT_FOUND, "not found");
  EXPECT_TRUE(client_->Abort(endless).ok());
  EXPECT_TRUE(std::filesystem::is_empty(root() + "/ingest"));
}

TEST_F(StoreDamage, HostileDigestsAreRefused) {
  Start();
  const std::string good = Sha("abc");
  ASSERT_TRUE(client_->Put("default/1/a", "abc").ok());
  const std::string digests[] = {"",
                                 "sha256:",
                                 "sha256:../../../../etc/passwd",
                                 "sha256:" + std::string(64, 'A'),
                                 good + "/",
                                 good + std::string(1, '\0'),
                                 "\n" + good,
                                 "../" + good,
                                 std::string(kMiB, 'd')};
  for (const std::string& digest : digests) {
    ContentClient::Info info;
    grpc::Status status;
    ExpectFails(client_->GetInfo(digest, &info), grpc::StatusCode::INVALID_ARGUMENT, "digest");
    ExpectFails(client_->Delete(digest), grpc::StatusCode::INVALID_ARGUMENT, "digest");
    ExpectFails(client_->Update(digest), grpc::StatusCode::INVALID_ARGUMENT, "digest");
    client_->Read(digest, 0, 0, &status);
    ExpectFails(status, grpc::StatusCode::INVALID_ARGUMENT, "digest");
    auto write = client_->OpenWrite("default/2/b");
    if (digest.empty()) continue;
    EXPECT_FALSE(write->Stat(3, digest).has_value());
    ExpectFails(write->End(), grpc::StatusCode::INVALID_ARGUMENT, "digest");
  }
  grpc::Status status;
  EXPECT_THAT(client_->List({}, &status), SizeIs(1));
  ExpectReads("abc");
}

}  // namespace
}  // namespace eagle::plugin
