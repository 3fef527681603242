#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/seeder/seeder.grpc.pb.h"
#include "seeder/seeder_app_testing.h"

namespace eagle::seeder {
namespace {

class SeederAppPreheatTest : public SeederAppTest {
 protected:
  // A registry with an image of the layers, under the tag 1.
  void ServeImage() {
    std::string list;
    for (const std::string& layer : layers_) {
      list += fmt::format(
          R"({}{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}})",
          list.empty() ? "" : ",", base::Digest::Of(layer).str(), layer.size());
    }
    manifest_ = fmt::format(R"({{"schemaVersion":2,"layers":[{}]}})", list);
    Serve([this](const registry::FakeRequest& request) {
      if (request.target == "/v2/team/app/manifests/1") {
        return registry::FakeReply::Of(manifest_, request);
      }
      for (const std::string& layer : layers_) {
        if (request.target.ends_with("/v2/team/app/blobs/" + base::Digest::Of(layer).str())) {
          return registry::FakeReply::Of(layer, request);
        }
      }
      registry::FakeReply reply;
      reply.status = 404;
      return reply;
    });
  }
  std::unique_ptr<v1::Seeder::Stub> Admin(int i) {
    return v1::Seeder::NewStub(rpc::MakeChannel("unix:" + configs_[i].data_dir + "/admin.sock"));
  }
  grpc::Status Preheat(int i, const std::string& image, bool wait, v1::PreheatProgress* last) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::PreheatRequest request;
    request.set_image(image);
    request.set_wait(wait);
    const auto stub = Admin(i);
    const auto reader = stub->Preheat(&context, request);
    while (reader->Read(last)) {
    }
    return reader->Finish();
  }
  std::size_t LayerRequests() {
    const auto requests = registry_->requests();
    return static_cast<std::size_t>(
        std::count_if(requests.begin(), requests.end(), [](const registry::FakeRequest& request) {
          return request.target.find("/blobs/") != std::string::npos;
        }));
  }

  std::string manifest_;
};

TEST_F(SeederAppPreheatTest, TwoSeedersPreheatAnImageWithOneFetchOfEachLayer) {
  for (int i = 0; i < 4; ++i) NewLayer(i % 2);
  ServeImage();
  StartAll();
  v1::PreheatProgress queued;
  ASSERT_TRUE(Preheat(1, "registry.lab:5000/team/app:1", false, &queued).ok());
  EXPECT_EQ(queued.image(), "registry.lab/team/app:1");
  v1::PreheatProgress last;
  const grpc::Status status = Preheat(0, "registry.lab/team/app:1", true, &last);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(last.state(), v1::PreheatProgress::DONE);
  EXPECT_EQ(last.layers_done(), 4);
  EXPECT_EQ(last.layers_total(), 4);
  EXPECT_EQ(last.bytes_done(), 4 << 20);
  EXPECT_TRUE(MetricBecomes(1, "eagle_seeder_preheats_total{result=\"ok\"} 1"));
  for (const std::string& layer : layers_) {
    EXPECT_TRUE(Eventually([&] { return Stored(0, layer) && Stored(1, layer); }));
  }
  EXPECT_EQ(LayerRequests(), 4u);
}

TEST_F(SeederAppPreheatTest, RefusalsAreSaidAtOnce) {
  NewLayer(0);
  ServeImage();
  for (SeederConfig& config : configs_) config.allow_unlisted_origins = false;
  StartAll();
  v1::PreheatProgress last;
  EXPECT_EQ(Preheat(0, "registry.lab/team/app:gone", true, &last).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Preheat(0, "other.lab/team/app:1", false, &last).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Preheat(0, "registry.lab/../app", true, &last).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(LayerRequests(), 0u);
}

TEST_F(SeederAppPreheatTest, APinOutlivesTheSeeder) {
  const std::string layer = NewLayer(0);
  ServeImage();
  StartSeeder(0);
  v1::PreheatProgress last;
  ASSERT_TRUE(Preheat(0, "registry.lab/team/app:1", true, &last).ok());
  v1::PinLayerRequest pin;
  pin.set_digest(base::Digest::Of(layer).str());
  v1::PinLayerReply pinned;
  grpc::ClientContext pin_context;
  ASSERT_TRUE(Admin(0)->PinLayer(&pin_context, pin, &pinned).ok());
  apps_[0].reset();
  StartSeeder(0);
  v1::ListLayersReply list;
  grpc::ClientContext list_context;
  ASSERT_TRUE(Admin(0)->ListLayers(&list_context, v1::ListLayersRequest(), &list).ok());
  ASSERT_EQ(list.layers_size(), 1);
  EXPECT_TRUE(list.layers(0).pinned());
  v1::UnpinLayerRequest unpin;
  unpin.set_digest(pin.digest());
  v1::UnpinLayerReply unpinned;
  grpc::ClientContext unpin_context;
  EXPECT_TRUE(Admin(0)->UnpinLayer(&unpin_context, unpin, &unpinned).ok());
}

}  // namespace
}  // namespace eagle::seeder
