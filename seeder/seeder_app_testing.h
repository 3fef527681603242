#pragma once

// Real seeders on loopback, with a registry that does as it is told.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/metainfo/metainfo.grpc.pb.h"
#include "lib/base/rendezvous.h"
#include "lib/base/unique_fd.h"
#include "lib/registry/fake_registry.h"
#include "lib/rpc/channel.h"
#include "lib/testing/temp_dir.h"
#include "seeder/seeder_app.h"

namespace eagle::seeder {

inline constexpr absl::Duration kPatience = absl::Seconds(60);

// In a network of their own (main), so that the seeders can know each other's ports before they
// start.
inline constexpr std::uint16_t kGrpcPort = 21000;
inline constexpr std::uint16_t kBittorrentPort = 22000;
inline constexpr std::uint16_t kNodePort = 23000;

template <typename Condition>
bool Eventually(const Condition& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

class SeederAppTest : public ::testing::Test {
 protected:
  static constexpr int kSeeders = 2;

  SeederAppTest() {
    for (int i = 0; i < kSeeders; ++i) {
      addresses_.push_back(fmt::format("127.0.0.1:{}", kGrpcPort + i));
    }
    for (int i = 0; i < kSeeders; ++i) {
      SeederConfig& config = configs_[i];
      config.listen = config.self = addresses_[static_cast<std::size_t>(i)];
      config.seeders = addresses_;
      config.data_dir = fmt::format("{}/seeder{}", dir_.path(), i);
      config.bittorrent.listen_address = "127.0.0.1";
      config.bittorrent.port = static_cast<std::uint16_t>(kBittorrentPort + i);
      config.bittorrent.upload_limit = config.bittorrent.download_limit = {};
      config.storage.limit = base::MiB(64);
      config.metrics_listen = "127.0.0.1:0";
    }
  }
  ~SeederAppTest() override {
    for (auto& app : apps_) app.reset();
  }

  void Serve(registry::FakeRegistry::Handler handler) {
    registry_ = std::make_unique<registry::FakeRegistry>(std::move(handler));
    for (SeederConfig& config : configs_) {
      config.origins["registry.lab"].endpoint = *registry::HttpUrl::Parse(registry_->url());
    }
  }
  void ServeLayers() {
    Serve([this](const registry::FakeRequest& request) {
      const auto digest = base::Digest::Parse(request.target.substr(request.target.rfind('/') + 1));
      for (const std::string& layer : layers_) {
        if (digest.ok() && base::Digest::Of(layer) == *digest) {
          return registry::FakeReply::Of(layer, request);
        }
      }
      registry::FakeReply reply;
      reply.status = 404;
      return reply;
    });
  }

  void StartSeeder(int i) {
    auto app = SeederApp::Start(configs_[i]);
    ASSERT_TRUE(app.ok()) << app.status();
    apps_[i] = *std::move(app);
  }
  void StartAll() {
    for (int i = 0; i < kSeeders; ++i) StartSeeder(i);
  }

  std::unique_ptr<metainfo::MetaInfo::Stub> Stub(int i) {
    return metainfo::MetaInfo::NewStub(rpc::MakeChannel(configs_[i].self));
  }
  static metainfo::MetaInfoRequest RequestFor(const std::string& layer) {
    metainfo::MetaInfoRequest request;
    request.set_url("https://registry.lab/v2/library/app/blobs/" + base::Digest::Of(layer).str());
    return request;
  }
  grpc::Status Get(int i, const metainfo::MetaInfoRequest& request, std::string* metainfo) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    metainfo::MetaInfoReply reply;
    grpc::Status status = Stub(i)->GetMetaInfo(&context, request, &reply);
    if (metainfo != nullptr) *metainfo = reply.metainfo();
    return status;
  }
  // The last message.
  grpc::Status Watch(int i, const std::string& layer, metainfo::MetaInfoProgress* last) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto stub = Stub(i);
    const auto reader = stub->WatchMetaInfo(&context, RequestFor(layer));
    while (reader->Read(last)) {
    }
    return reader->Finish();
  }

  // A layer that seeder `i` owns, 1 MiB by default.
  std::string NewLayer(int i, std::size_t size = 1 << 20) {
    for (int n = 0;; ++n) {
      std::string layer(size, static_cast<char>('a' + layers_.size()));
      layer.replace(0, 8, fmt::format("{:08}", n));
      const auto order = base::RendezvousOrder(base::Digest::Of(layer).str(), addresses_);
      if (order[0] != static_cast<std::size_t>(i)) continue;
      layers_.push_back(layer);
      return layer;
    }
  }
  [[nodiscard]] std::string FileOf(int i, const std::string& layer) const {
    return fmt::format("{}/blobs/{}", configs_[i].data_dir, base::Digest::Of(layer).hex());
  }
  [[nodiscard]] bool Stored(int i, const std::string& layer) const {
    struct stat info {};
    return ::stat(FileOf(i, layer).c_str(), &info) == 0 && (info.st_mode & 0222) == 0;
  }
  std::string Page(int i, const std::string& path) {
    const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(apps_[i]->metrics_port());
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), 0),
              static_cast<ssize_t>(request.size()));
    std::string page;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) {
      page.append(buffer, static_cast<std::size_t>(n));
    }
    return page;
  }
  bool MetricBecomes(int i, const std::string& line) {
    return Eventually(
        [&] { return Page(i, "/metrics").find("\n" + line + "\n") != std::string::npos; });
  }

  testing::TempDir dir_;
  std::vector<std::string> addresses_;
  std::vector<std::string> layers_;
  SeederConfig configs_[kSeeders];
  std::unique_ptr<SeederApp> apps_[kSeeders];
  std::unique_ptr<registry::FakeRegistry> registry_;
};

}  // namespace eagle::seeder
