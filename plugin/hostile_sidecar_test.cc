#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "lib/base/file.h"
#include "lib/testing/program.h"
#include "lib/testing/temp_dir.h"
#include "plugin/testing/hostile_sidecar.h"
#include "plugin/testing/layer_pull.h"

// The real plugin against a process that poses as its sidecar and means harm. Whatever that does,
// the image is whole, from the registry if need be, and the store has what its names say.
namespace eagle::plugin {
namespace {

namespace fs = std::filesystem;
using testing::ContentClient;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Pulled;
using testing::TestImage;
using Program = eagle::testing::Program;

constexpr unsigned int kNobody = 65534;
constexpr int kTurns = 12;

class HostileSidecar : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::geteuid(), 0U)
        << "this test needs root: the sidecar gives it up, the plugin has it";
    // The fake has to get through here.
    fs::permissions(dir_.path(), fs::perms(0711));
    for (const char* folder : {"/cache", "/cache/blobs", "/sidecar"}) {
      fs::create_directories(dir_.path() + folder);
      ASSERT_EQ(::chown((dir_.path() + folder).c_str(), kNobody, kNobody), 0);
    }
    std::ofstream(dir_.path() + "/plugin.yaml") << fmt::format(
        "listen: unix:{0}/plugin.sock\ncontainerd_address: unix:{0}/containerd.sock\n"
        "root: {0}/content\ncache_dir: {0}/cache\nsidecar_address: unix:{0}/sidecar/node.sock\n"
        "p2p: {{min_size: 1KiB, stall_timeout: 5s, budget: 60s, sidecar_timeout: 3s}}\n"
        "metrics: {{listen: 127.0.0.1:0}}\nlog_level: debug\n",
        dir_.path());
    containerd_ =
        std::make_unique<testing::FakeContainerd>("unix:" + dir_.path() + "/containerd.sock");
    plugin_ = std::make_unique<Program>(
        "eagle-plugin", std::vector<std::string>{"--config", dir_.path() + "/plugin.yaml"});
    client_ = std::make_unique<ContentClient>("unix:" + dir_.path() + "/plugin.sock");
    ASSERT_TRUE(client_->Put("k8s.io/1/config-x", sentinel_).ok());
    ASSERT_TRUE(client_->Put("k8s.io/1/manifest-" + image_.digest().str(), image_.manifest).ok());
    containerd_->AddSource("k8s.io", image_.digest(), "registry.example", "team/app");
  }

  void Begin(const std::string& play) {
    // The test itself, by another name: see main().
    sidecar_ = std::make_unique<Program>(
        "../plugin/plugin_hostile_test",
        std::vector<std::string>{"--hostile-sidecar", play, dir_.path() + "/sidecar/node.sock",
                                 dir_.path() + "/cache"});
    ASSERT_THAT(sidecar_->ReadUntil("ready"), HasSubstr("A FAKE SIDECAR"));
  }

  [[nodiscard]] std::string Cached(std::size_t i = 0) const {
    return dir_.path() + "/cache/blobs/" + image_.layer(i).hex();
  }
  [[nodiscard]] std::string Blob(const base::Digest& digest) const {
    return dir_.path() + "/content/blobs/sha256/" + digest.hex();
  }
  void Store(const std::string& bytes, std::size_t i = 0) {
    std::ofstream(Cached(i), std::ios::binary) << bytes;
    ASSERT_EQ(::chown(Cached(i).c_str(), kNobody, kNobody), 0);
  }
  void StoreAll() {
    for (std::size_t i = 0; i < image_.layers.size(); ++i) Store(image_.layers[i], i);
  }

  // Pulls a layer as containerd does and looks at what the store has then.
  Pulled Pull(std::size_t i = 0) {
    const Pulled pulled = testing::PullLayer(*client_, image_, i);
    EXPECT_TRUE(pulled.status.ok()) << pulled.status.error_message();
    CheckStore();
    return pulled;
  }
  void ExpectFallback(const std::string& reason, std::size_t i = 0) {
    EXPECT_FALSE(Pull(i).from_p2p);
    EXPECT_THAT(plugin_->ReadUntil("reason=" + reason), HasSubstr("reason=" + reason));
  }
  void CheckStore() {
    grpc::Status status;
    for (const auto& info : client_->List({}, &status)) {
      const std::string bytes = client_->Read(info.digest(), 0, 0, &status);
      EXPECT_EQ(base::Digest::Of(bytes).str(), info.digest());
    }
    EXPECT_EQ(*base::ReadFile(Blob(base::Digest::Of(sentinel_))), sentinel_);
    EXPECT_THAT(client_->ListStatuses({}, &status), ::testing::IsEmpty());
  }

  eagle::testing::TempDir dir_;
  const TestImage image_ = TestImage::Make({3 << 20, 100'000, 100'001, 100'002, 100'003, 100'004,
                                            100'005, 100'006, 100'007, 100'008, 100'009, 100'010});
  const std::string sentinel_ = std::string(100'000, 's');
  std::unique_ptr<testing::FakeContainerd> containerd_;
  std::unique_ptr<Program> plugin_;
  std::unique_ptr<Program> sidecar_;
  std::unique_ptr<ContentClient> client_;
};

// The file.

TEST_F(HostileSidecar, CanNotTouchAnInodeThatItHandedOver) {
  Store(image_.layers[0]);
  Begin("attacks-after-the-answer");
  EXPECT_TRUE(Pull().from_p2p);
  EXPECT_THAT(sidecar_->ReadUntil("kept out"), HasSubstr("kept out"));
  EXPECT_THAT(sidecar_->output(), Not(HasSubstr("BROKE IN")));
  CheckStore();
}

TEST_F(HostileSidecar, KeepsTheFileOpenForWriting) {
  Store(image_.layers[0]);
  Begin("keeps-a-descriptor");
  ExpectFallback("hand_over");
}

TEST_F(HostileSidecar, KeepsAMappingThatCanWrite) {
  Store(image_.layers[0]);
  Begin("keeps-a-mapping");
  ExpectFallback("hand_over");
}

TEST_F(HostileSidecar, SwapsTheFileWhileItIsTaken) {
  StoreAll();
  Begin("swaps-names");
  int served = 0;
  for (std::size_t i = 0; i < kTurns; ++i) served += Pull(i).from_p2p ? 1 : 0;
  std::printf("%d of %d served\n", served, kTurns);
}

TEST_F(HostileSidecar, ResizesTheFileWhileItIsTaken) {
  StoreAll();
  Begin("resizes");
  for (std::size_t i = 0; i < kTurns; ++i) Pull(i);
}

TEST_F(HostileSidecar, WritesToTheFileWhileItIsTaken) {
  StoreAll();
  Begin("flips-bytes");
  for (std::size_t i = 0; i < kTurns; ++i) Pull(i);
}

TEST_F(HostileSidecar, SaysDoneOfAllKindsOfThings) {
  const std::string blob = Blob(base::Digest::Of(sentinel_));
  const std::string secret = dir_.path() + "/secret";
  std::ofstream(secret) << image_.layers[5];
  ASSERT_EQ(::chmod(secret.c_str(), 0600), 0);
  // Nothing at 0; what the others are follows.
  Store(image_.layers[1] + "x", 1);
  Store(image_.layers[2].substr(1), 2);
  Store(std::string(100'002, 'z'), 3);
  fs::create_symlink(secret, Cached(4));
  fs::create_hard_link(secret, Cached(5));
  ASSERT_EQ(::mkfifo(Cached(6).c_str(), 0666), 0);
  ASSERT_EQ(::mknod(Cached(7).c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
  fs::create_directory(Cached(8));
  fs::create_hard_link(blob, Cached(9));
  fs::create_symlink(blob, Cached(10));
  fs::create_symlink("/proc/self/mem", Cached(11));
  Begin("says-done");
  for (const std::size_t i : {0U, 1U, 2U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 11U}) {
    ExpectFallback("hand_over", i);
  }
  ExpectFallback("corrupt", 3);
  struct stat info {};
  ASSERT_EQ(::stat(secret.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  EXPECT_EQ(*base::ReadFile(secret), image_.layers[5]);
}

TEST_F(HostileSidecar, HasABlobOfTheStoreForAnotherOne) {
  // Of the same size and with the store's own owner and mode, so that only its bytes tell.
  const std::string other = std::string(100'000, 'o');
  ASSERT_TRUE(client_->Put("k8s.io/1/config-o", other).ok());
  fs::create_hard_link(Blob(base::Digest::Of(other)), Cached(1));
  Begin("says-done");
  ExpectFallback("corrupt", 1);
  EXPECT_EQ(*base::ReadFile(Blob(base::Digest::Of(other))), other);
}

TEST_F(HostileSidecar, MakesItsFolderALinkToTheStore) {
  fs::rename(dir_.path() + "/cache/blobs", dir_.path() + "/cache/old");
  fs::create_directory_symlink(dir_.path() + "/content/blobs/sha256", dir_.path() + "/cache/blobs");
  Begin("says-done");
  ExpectFallback("hand_over");
}

TEST_F(HostileSidecar, NamesFilesOutsideOfTheCache) {
  StoreAll();
  Begin("names-others");
  for (std::size_t i = 0; i < 8; ++i) ExpectFallback("sidecar_error", i);
}

// What it says.

TEST_F(HostileSidecar, SaysWildNumbers) {
  Store(image_.layers[0]);
  Begin("wild-numbers");
  EXPECT_TRUE(Pull().from_p2p);
}

TEST_F(HostileSidecar, FloodsThePlugin) {
  Store(image_.layers[0]);
  Begin("floods");
  EXPECT_TRUE(Pull().from_p2p);
}

TEST_F(HostileSidecar, TalksOnAfterItsLastWord) {
  StoreAll();
  Begin("talks-on");
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(Pull(i).from_p2p);
}

TEST_F(HostileSidecar, SendsMoreThanAMessageMayHave) {
  Begin("shouts");
  ExpectFallback("sidecar_error");
}

TEST_F(HostileSidecar, NeverComesToAnEnd) {
  Begin("never-ends");
  ExpectFallback("stalled");
  EXPECT_THAT(sidecar_->ReadUntil("let go of"), HasSubstr("let go of"));
}

TEST_F(HostileSidecar, SaysNothing) {
  Begin("says-nothing");
  ExpectFallback("sidecar_hung");
  EXPECT_THAT(sidecar_->ReadUntil("let go of"), HasSubstr("let go of"));
}

TEST_F(HostileSidecar, IsKilledAndComesBackWhileALayerWaits) {
  std::size_t i = 0;
  // With and without a word before its end.
  for (const char* play : {"never-ends", "says-nothing"}) {
    Begin(play);
    auto pull = std::async(std::launch::async, [&] { return Pull(i); });
    ASSERT_THAT(sidecar_->ReadUntil("asked"), HasSubstr("asked"));
    sidecar_.reset();
    Store(image_.layers[i], i);
    Begin("says-done");
    EXPECT_TRUE(pull.get().from_p2p) << play;
    ++i;
  }
}

TEST_F(HostileSidecar, TricklesAByteAtATime) {
  Begin("trickles");
  ExpectFallback("slow");
  EXPECT_THAT(sidecar_->ReadUntil("let go of"), HasSubstr("let go of"));
}

}  // namespace
}  // namespace eagle::plugin

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--hostile-sidecar") == 0) {
    return eagle::plugin::testing::RunHostileSidecar(argc, argv);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
