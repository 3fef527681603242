#include "seeder/image_fetch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "seeder/file_storage.h"
#include "seeder/seeder_fakes.h"

namespace eagle::seeder {
namespace {

using ::testing::HasSubstr;

const std::vector<registry::Platform> kBoth = {{"linux", "amd64", ""}, {"linux", "arm64", ""}};

class ImageFetchTest : public ::testing::Test {
 protected:
  ImageFetchTest() {
    auto storage = FileStorage::Open(dir_.path(), base::MiB(1), clock_);
    EXPECT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
    uploads_ = std::make_unique<SecondUploads>(*storage_, swarm_, base::KiB(100));
    origin_ = std::make_unique<OriginFetch>(origins_, *storage_, swarm_, nullptr, metrics_);
    LayerFetchesOptions options;
    options.progress_interval = std::chrono::milliseconds(5);
    fetches_ = std::make_unique<LayerFetches>(options, *storage_, *origin_, others_, *uploads_,
                                              metrics_, clock_);
  }
  ~ImageFetchTest() override {
    fetches_.reset();
    uploads_.reset();
  }

  static std::string ManifestOf(const std::vector<std::string>& layers) {
    std::string list;
    for (const std::string& layer : layers) {
      list += fmt::format(
          R"({}{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}})",
          list.empty() ? "" : ",", base::Digest::Of(layer).str(), layer.size());
    }
    return fmt::format(R"({{"schemaVersion":2,"layers":[{}]}})", list);
  }
  // Puts an image for one platform; returns its entry in an index.
  std::string PutPlatform(const std::string& architecture, const std::vector<std::string>& layers) {
    for (const std::string& layer : layers) origins_.Put(layer);
    const std::string manifest = ManifestOf(layers);
    const std::string digest = base::Digest::Of(manifest).str();
    origins_.PutManifest(digest, manifest);
    return fmt::format(
        R"({{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":1,
            "platform":{{"os":"linux","architecture":"{}"}}}})",
        digest, architecture);
  }
  absl::Status Run(const std::vector<registry::Platform>& platforms = kBoth) {
    ImageFetch fetch(origins_, *fetches_);
    return fetch.Run(
        *registry::ImageName::Parse("registry.lab/library/app:1"), platforms,
        [this](const ImageProgress& now) { last_ = now; }, cancellation_);
  }
  bool Stored(const std::string& layer) {
    const auto found = storage_->Find(base::Digest::Of(layer));
    return found && found->complete;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  SeederMetrics metrics_{registry_};
  FakeSwarm swarm_;
  FakeOrigins origins_;
  FakeOtherSeeders others_;
  std::unique_ptr<FileStorage> storage_;
  std::unique_ptr<SecondUploads> uploads_;
  std::unique_ptr<OriginFetch> origin_;
  std::unique_ptr<LayerFetches> fetches_;
  registry::Cancellation cancellation_;
  ImageProgress last_;
};

TEST_F(ImageFetchTest, EveryLayerIsSeededAndCounted) {
  std::vector<std::string> layers;
  for (int i = 0; i < 10; ++i) layers.push_back(fmt::format("layer {}", i));
  for (const std::string& layer : layers) origins_.Put(layer);
  origins_.PutManifest("1", ManifestOf(layers));
  ASSERT_TRUE(Run().ok());
  for (const std::string& layer : layers) EXPECT_TRUE(Stored(layer));
  EXPECT_EQ(swarm_.seeds().size(), 10u);
  EXPECT_EQ(last_.layers_done, 10);
  EXPECT_EQ(last_.layers_total, 10);
  EXPECT_EQ(last_.bytes_done, 70);
  EXPECT_EQ(last_.bytes_total, 70);
  // What is here already is not fetched again.
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(origins_.asked().size(), 10u);
  EXPECT_EQ(origins_.asked()[0].repositories, std::vector<std::string>{"library/app"});
  EXPECT_EQ(origins_.asked()[0].size_bytes, 7);
}

TEST_F(ImageFetchTest, OfAnIndexOnlyThePlatformsThatAreWantedEachLayerOnce) {
  const std::string index = fmt::format(
      R"({{"schemaVersion":2,"manifests":[{},{},{}]}})", PutPlatform("amd64", {"shared", "amd64"}),
      PutPlatform("arm64", {"shared", "arm64"}), PutPlatform("s390x", {"s390x"}));
  origins_.PutManifest("1", index);
  ASSERT_TRUE(Run().ok());
  EXPECT_TRUE(Stored("shared") && Stored("amd64") && Stored("arm64"));
  EXPECT_FALSE(Stored("s390x"));
  EXPECT_EQ(last_.layers_total, 3);
  const absl::Status none = Run({{"windows", "amd64", ""}});
  EXPECT_TRUE(absl::IsNotFound(none));
  EXPECT_THAT(std::string(base::Message(none)), HasSubstr("windows/amd64"));
}

TEST_F(ImageFetchTest, OneLayerThatFailsKeepsNoOtherAway) {
  origins_.Put("good");
  origins_.PutManifest("1", ManifestOf({"bad", "good"}));
  EXPECT_TRUE(absl::IsNotFound(Run()));
  EXPECT_TRUE(Stored("good"));
  EXPECT_EQ(last_.layers_done, 1);
}

TEST_F(ImageFetchTest, WhatIsNoImageIsSaidSo) {
  EXPECT_TRUE(absl::IsNotFound(Run()));
  origins_.PutManifest("1", "<html>");
  EXPECT_TRUE(absl::IsInvalidArgument(Run()));
}

TEST_F(ImageFetchTest, CancellationEndsTheWait) {
  origins_.PutManifest("1", ManifestOf({"slow"}));
  origins_.Handle([](const LayerRequest&, registry::BlobSink&, registry::Cancellation& fetch) {
    while (fetch.Sleep(std::chrono::milliseconds(1))) {
    }
    return absl::CancelledError("stopped");
  });
  std::thread canceller([this] {
    EXPECT_TRUE(origins_.WaitAsked(1));
    cancellation_.Cancel();
  });
  EXPECT_TRUE(absl::IsCancelled(Run()));
  canceller.join();
  fetches_->Stop();
}

}  // namespace
}  // namespace eagle::seeder
