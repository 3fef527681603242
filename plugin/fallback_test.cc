#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "plugin/testing/layer_pull.h"
#include "plugin/testing/node.h"
#include "plugin/testing/wait.h"

// Whatever is wrong with the sidecar or its file, the second STAT says what the first one said.
namespace eagle::plugin {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::ElementsAre;
using testing::Eventually;
using testing::ExpectFallback;
using testing::FakeSidecar;
using testing::Fallbacks;
using ::testing::IsEmpty;
using testing::Node;
using testing::Pulled;
using testing::PullLayer;
using ::testing::SizeIs;
using testing::TestImage;
using Layer = eagle::node::v1::Layer;
using Failed = eagle::node::v1::Failed;

class FallbackTest : public ::testing::Test {
 protected:
  void Store(std::size_t i) { node_.sidecar().Store(image_.layer(i), image_.layers[i]); }

  Node node_;
  const TestImage image_ = TestImage::Make({3 << 20, 100'000, 50'000});
};

// Reasons not to ask.

TEST_F(FallbackTest, WithoutAManifestOrALabelThereIsNoSource) {
  ExpectFallback(node_, image_, 0, "no_manifest");
  ASSERT_TRUE(
      node_.client().Put("k8s.io/1/manifest-" + image_.digest().str(), image_.manifest).ok());
  ExpectFallback(node_, image_, 1, "no_source");
  // In another namespace only.
  node_.containerd().AddSource("default", image_.digest(), "r", "a");
  ExpectFallback(node_, image_, 2, "no_source");
  EXPECT_THAT(node_.sidecar().fetched(), IsEmpty());
}

TEST_F(FallbackTest, AnyParentWithALabelWillDo) {
  TestImage other = image_;
  other.manifest += " ";
  ASSERT_TRUE(node_.client().Put("k8s.io/1/manifest-" + other.digest().str(), other.manifest).ok());
  node_.PullManifest(image_);
  ASSERT_TRUE(node_.client().Put("k8s.io/2/index-x", "[]").ok());
  Store(0);
  EXPECT_TRUE(PullLayer(node_, image_, 0).from_p2p);
}

TEST_F(FallbackTest, ADeletedManifestIsNotAskedAbout) {
  node_.PullManifest(image_);
  ASSERT_TRUE(node_.client().Delete(image_.digest().str()).ok());
  ExpectFallback(node_, image_, 0, "no_manifest");
}

TEST_F(FallbackTest, ManifestsAreKnownAgainAfterARestart) {
  node_.PullManifest(image_);
  node_.StopPlugin();
  node_.StartPlugin();
  Store(0);
  EXPECT_TRUE(PullLayer(node_, image_, 0).from_p2p);
}

TEST(FallbackRules, SmallLayersAndDeniedRepositoriesComeFromTheRegistry) {
  Node node([](PluginConfig& config) {
    config.p2p.min_size = base::KiB(64);
    config.p2p.deny = {".*/secret"};
  });
  const TestImage image = TestImage::Make({65535, 65536, 70000});
  node.PullManifest(image, "k8s.io", "r", "team/app,team/secret");
  for (std::size_t i = 0; i < 3; ++i) node.sidecar().Store(image.layer(i), image.layers[i]);
  ExpectFallback(node, image, 0, "small");
  EXPECT_TRUE(PullLayer(node, image, 1).from_p2p);
  EXPECT_EQ(node.sidecar().fetched().at(0).sources_size(), 1);
  const TestImage secret = TestImage::Make({70000}, 1);
  node.PullManifest(secret, "k8s.io", "r", "team/secret");
  ExpectFallback(node, secret, 0, "policy");
}

TEST(FallbackRules, SwitchedOffAsksNobody) {
  Node node([](PluginConfig& config) { config.p2p.enabled = false; });
  const TestImage image = TestImage::Make({70000});
  node.PullManifest(image);
  ExpectFallback(node, image, 0, "disabled");
  EXPECT_THAT(node.sidecar().fetched(), IsEmpty());
}

// Trouble with the sidecar.

TEST_F(FallbackTest, ADeadSidecarCostsNothing) {
  node_.PullManifest(image_);
  node_.StopSidecar();
  ExpectFallback(node_, image_, 0, "sidecar_unreachable");
  ExpectFallback(node_, image_, 1, "sidecar_unreachable");
}

TEST_F(FallbackTest, TheNextImageAsksTheSidecarAgain) {
  node_.PullManifest(image_);
  node_.StopSidecar();
  ExpectFallback(node_, image_, 0, "sidecar_unreachable");
  node_.StartSidecar();
  const TestImage next = TestImage::Make({100'000, 100'001, 100'002, 100'003}, 1);
  node_.PullManifest(next);
  for (std::size_t i = 0; i < 4; ++i) node_.sidecar().Store(next.layer(i), next.layers[i]);
  // gRPC needs up to a second to notice that the socket is back.
  EXPECT_TRUE(Eventually([&] {
    const TestImage probe = TestImage::Make(
        {100'000}, static_cast<int>(steady_clock::now().time_since_epoch().count() % 1'000'000));
    node_.PullManifest(probe);
    node_.sidecar().Store(probe.layer(0), probe.layers[0]);
    return PullLayer(node_, probe, 0).from_p2p;
  }));
  EXPECT_TRUE(PullLayer(node_, next, 0).from_p2p);
}

TEST(FallbackTimes, ASidecarThatDoesNotEvenAcceptIsHung) {
  Node node([](PluginConfig& config) { config.p2p.sidecar_timeout = milliseconds(300); });
  const TestImage image = TestImage::Make({100'000, 100'001});
  node.PullManifest(image);
  node.StopSidecar();
  const std::string path = node.config().sidecar_address.substr(5);
  std::filesystem::remove(path);
  const base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd.get(), 8), 0);
  ExpectFallback(node, image, 0, "sidecar_hung");
  ExpectFallback(node, image, 1, "sidecar_hung");
}

TEST_F(FallbackTest, TheSidecarsReasonIsCounted) {
  node_.PullManifest(image_);
  const std::vector<std::pair<Failed::Reason, std::string>> reasons = {
      {Failed::NO_SEEDER, "no_seeder"},
      {Failed::DENIED, "denied"},
      {Failed::NO_SPACE, "no_space"},
      {Failed::MISMATCH, "mismatch"},
      {Failed::INTERNAL, "sidecar_error"}};
  for (const auto& [reason, name] : reasons) {
    node_.sidecar().SetPlay(
        [r = reason](const Layer&, FakeSidecar::Transfer& transfer) { transfer.Fail(r); });
    ExpectFallback(node_, image_, 0, name);
    ASSERT_TRUE(node_.client().Delete(image_.layer(0).str()).ok());
  }
  node_.sidecar().SetPlay([](const Layer&, FakeSidecar::Transfer&) {});
  ExpectFallback(node_, image_, 0, "sidecar_error");
}

TEST_F(FallbackTest, AContainerdThatDoesNotAnswerCostsASecond) {
  node_.PullManifest(image_);
  node_.containerd().Hang();
  ExpectFallback(node_, image_, 0, "containerd");
  node_.containerd().Continue();
}

// Trouble with the file.

TEST_F(FallbackTest, ACorruptFileIsRefusedAndDiscarded) {
  node_.PullManifest(image_);
  std::string bytes = image_.layers[0];
  bytes[12345] ^= 1;
  node_.sidecar().Store(image_.layer(0), bytes);
  ExpectFallback(node_, image_, 0, "corrupt");
  EXPECT_TRUE(Eventually([&] { return !node_.sidecar().discarded().empty(); }));
  EXPECT_THAT(node_.sidecar().discarded(), ElementsAre(image_.layer(0).str()));
  EXPECT_EQ(node_.Metric("eagle_plugin_verify_failures_total"), 1);
  grpc::Status status;
  EXPECT_EQ(node_.client().Read(image_.layer(0).str(), 0, 0, &status), image_.layers[0]);
}

TEST_F(FallbackTest, AFileOfAnotherSizeIsRefused) {
  node_.PullManifest(image_);
  node_.sidecar().Store(image_.layer(0), image_.layers[0] + "x");
  ExpectFallback(node_, image_, 0, "hand_over");
}

TEST_F(FallbackTest, ASymbolicLinkIsRefused) {
  node_.PullManifest(image_);
  const std::string target = node_.config().cache_dir + "/elsewhere";
  std::ofstream(target) << image_.layers[0];
  std::filesystem::create_symlink(target, node_.sidecar().PathOf(image_.layer(0)));
  ExpectFallback(node_, image_, 0, "hand_over");
}

TEST_F(FallbackTest, AFileHeldOpenForWritingIsRefused) {
  node_.PullManifest(image_);
  Store(0);
  std::ofstream writer(node_.sidecar().PathOf(image_.layer(0)), std::ios::app);
  ExpectFallback(node_, image_, 0, "hand_over");
}

TEST_F(FallbackTest, ANameThatIsNotTheDigestOpensNoOtherFile) {
  node_.PullManifest(image_);
  Store(0);
  node_.sidecar().SetPlay([](const Layer&, FakeSidecar::Transfer& transfer) {
    transfer.Done("../../../etc/passwd", 0, 0);
  });
  ExpectFallback(node_, image_, 0, "sidecar_error");
}

}  // namespace
}  // namespace eagle::plugin
