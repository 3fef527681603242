#include "plugin/p2p_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "api/plugin/plugin.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"
#include "plugin/testing/layer_pull.h"
#include "plugin/testing/node.h"
#include "plugin/testing/wait.h"

// eagle.plugin.v1.Admin on a running plugin.
namespace eagle::plugin {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Eventually;
using testing::FakeSidecar;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Node;
using testing::PullLayer;
using testing::TestImage;
using Layer = eagle::node::v1::Layer;

class Control : public ::testing::Test {
 protected:
  Control() : node_([this](PluginConfig& config) { Configure(config); }) {
    node_.PullManifest(image_);
    for (std::size_t i = 0; i < image_.layers.size(); ++i) {
      node_.sidecar().Store(image_.layer(i), image_.layers[i]);
    }
  }

  void Configure(PluginConfig& config) {
    folder_ = std::filesystem::path(config.root).parent_path();
    config.path = folder_ + "/plugin.yaml";
    WriteConfig("");
  }
  // The file as the plugin was started from, but for `p2p`, lines of that section.
  void WriteConfig(const std::string& p2p, const std::string& rest = "") const {
    std::ofstream(folder_ + "/plugin.yaml")
        << "listen: unix:" << folder_ << "/plugin.sock\ncontainerd_address: unix:" << folder_
        << "/containerd.sock\nsidecar_address: unix:" << folder_
        << "/sidecar.sock\nroot: " << folder_ << "/content\ncache_dir: " << folder_
        << "/cache\nstate_dir: " << folder_
        << "/state\nmetrics: {listen: '127.0.0.1:0'}\nlog_level: warn\n"
        << rest << "p2p:\n  min_size: 1KiB\n  stall_timeout: 20s\n  sidecar_timeout: 20s\n"
        << "  budget: 30s\n"
        << p2p;
  }

  [[nodiscard]] std::unique_ptr<v1::Admin::Stub> admin() const {
    return v1::Admin::NewStub(rpc::MakeChannel(node_.config().listen));
  }
  v1::SetP2pReply Switch(bool on, const std::string& reason = "") {
    grpc::ClientContext context;
    v1::SetP2pRequest request;
    request.set_on(on);
    request.set_reason(reason);
    v1::SetP2pReply reply;
    EXPECT_TRUE(admin()->SetP2p(&context, request, &reply).ok());
    return reply;
  }
  absl::Status Reload(v1::ReloadReply* reply) {
    grpc::ClientContext context;
    return rpc::FromGrpc(admin()->Reload(&context, {}, reply));
  }
  v1::GetStatusReply Status() {
    grpc::ClientContext context;
    v1::GetStatusReply reply;
    EXPECT_TRUE(admin()->GetStatus(&context, {}, &reply).ok());
    return reply;
  }

  std::string folder_;
  const TestImage image_ = TestImage::Make({100'000, 50'000, 20'000});
  Node node_;
};

TEST_F(Control, OffReleasesTheLayersThatWaitAndKeepsOthersFromTheSwarm) {
  node_.sidecar().SetPlay([](const Layer&, FakeSidecar::Transfer& transfer) {
    transfer.Progress(1, 1);
    (void)transfer.AwaitCancelled();
  });
  auto write = node_.client().OpenWrite(Node::LayerRef(image_.layer(0)));
  ASSERT_TRUE(write->Stat(image_.size(0)).has_value());
  write->SendStat();
  ASSERT_TRUE(Eventually([&] { return !node_.sidecar().fetched().empty(); }));

  const v1::SetP2pReply off = Switch(false, "incident 7");
  EXPECT_TRUE(off.changed());
  EXPECT_EQ(off.released_layers(), 1);
  EXPECT_EQ(off.not_kept(), "");
  EXPECT_FALSE(off.p2p().enabled());
  EXPECT_EQ(off.p2p().off_reason(), "incident 7");
  const auto answer = write->Receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->offset(), 0);
  EXPECT_EQ(node_.Metric("eagle_plugin_p2p_enabled"), 0);

  node_.sidecar().SetPlay([](const Layer& layer, FakeSidecar::Transfer& transfer) {
    transfer.Done(layer.digest().substr(7), 0, 0);
  });
  EXPECT_FALSE(PullLayer(node_, image_, 1).from_p2p);
  EXPECT_FALSE(Switch(false).changed());
  EXPECT_TRUE(Switch(true).changed());
  EXPECT_EQ(node_.Metric("eagle_plugin_p2p_enabled"), 1);
  EXPECT_TRUE(PullLayer(node_, image_, 2).from_p2p);
}

TEST_F(Control, TheSwitchOutlivesThePlugin) {
  Switch(false, "over\nnight");
  node_.StopPlugin();
  node_.StartPlugin();
  const v1::GetStatusReply status = Status();
  EXPECT_FALSE(status.p2p().enabled());
  EXPECT_FALSE(status.p2p().switched_on());
  EXPECT_TRUE(status.p2p().configured());
  EXPECT_EQ(status.p2p().off_reason(), "over night");
  EXPECT_THAT(status.p2p().off_since(), HasSubstr("T"));
  EXPECT_FALSE(PullLayer(node_, image_, 0).from_p2p);
  Switch(true);
  node_.StopPlugin();
  node_.StartPlugin();
  EXPECT_TRUE(Status().p2p().enabled());
}

TEST_F(Control, OffWorksThoughItCannotBeKept) {
  std::ofstream(folder_ + "/state") << "a file where the folder should be";
  const v1::SetP2pReply off = Switch(false);
  EXPECT_FALSE(off.p2p().enabled());
  EXPECT_THAT(off.not_kept(), HasSubstr("/state"));
  EXPECT_FALSE(PullLayer(node_, image_, 0).from_p2p);
}

TEST_F(Control, ReloadTakesOverTheRules) {
  WriteConfig("  deny: ['registry\\.example/team/.*']\n");
  v1::ReloadReply reply;
  ASSERT_TRUE(Reload(&reply).ok());
  EXPECT_THAT(reply.changes(), ElementsAre(HasSubstr("p2p.deny: [] -> [\"registry")));
  EXPECT_THAT(reply.needs_restart(), IsEmpty());
  EXPECT_FALSE(PullLayer(node_, image_, 0).from_p2p);
  EXPECT_EQ(node_.Metric("eagle_plugin_layers_total{outcome=\"fallback\",reason=\"policy\"}"), 1);

  WriteConfig("");
  ASSERT_TRUE(Reload(&reply).ok());
  EXPECT_TRUE(PullLayer(node_, image_, 1).from_p2p);
}

TEST_F(Control, ReloadOfABadFileChangesNothingAndNamesEveryProblem) {
  WriteConfig("  deny: ['(', '.*']\n", "unknown: 1\n");
  v1::ReloadReply reply;
  const absl::Status status = Reload(&reply);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("p2p.deny"));
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("unknown"));
  EXPECT_THAT(Status().p2p().deny(), IsEmpty());
  EXPECT_TRUE(PullLayer(node_, image_, 0).from_p2p);
}

TEST_F(Control, ReloadNamesTheKeysThatNeedARestart) {
  WriteConfig("", "");
  std::ofstream(folder_ + "/plugin.yaml", std::ios::app) << "  enabled: false\n";
  std::filesystem::create_directories(folder_ + "/other");
  {
    std::ifstream in(folder_ + "/plugin.yaml");
    std::string text((std::istreambuf_iterator<char>(in)), {});
    text.replace(text.find("/content\n"), 8, "/other");
    std::ofstream(folder_ + "/plugin.yaml") << text;
  }
  v1::ReloadReply reply;
  ASSERT_TRUE(Reload(&reply).ok());
  EXPECT_THAT(reply.needs_restart(), ElementsAre("root"));
  EXPECT_THAT(reply.changes(), Contains("p2p.enabled: true -> false"));
  EXPECT_FALSE(reply.p2p().enabled());
  EXPECT_TRUE(reply.p2p().switched_on());
  // The switch alone does not overrule the file.
  EXPECT_FALSE(Switch(true).p2p().enabled());
}

}  // namespace
}  // namespace eagle::plugin
