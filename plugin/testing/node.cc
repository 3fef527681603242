#include "plugin/testing/node.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <random>

#include "lib/base/unique_fd.h"

namespace eagle::plugin::testing {
namespace {

std::string RandomBytes(std::int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(static_cast<std::size_t>(size), '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

std::string HttpGet(int port, const std::string& path) {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  (void)!::write(fd.get(), request.data(), request.size());
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(n));
  }
  return out;
}

}  // namespace

TestImage TestImage::Make(const std::vector<std::int64_t>& sizes, int salt) {
  TestImage image;
  std::string rows;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    image.layers.push_back(
        RandomBytes(sizes[i], static_cast<unsigned>(salt * 100) + static_cast<unsigned>(i) + 1));
    rows += fmt::format(
        "{}{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"{}\","
        "\"size\":{}}}",
        i == 0 ? "" : ",", image.layer(i).str(), sizes[i]);
  }
  image.manifest = fmt::format(
      "{{\"schemaVersion\":2,\"config\":{{\"digest\":\"{}\",\"size\":2}},\"layers\":[{}]}}",
      base::Digest::Of("{}").str(), rows);
  return image;
}

Node::Node(const std::function<void(PluginConfig&)>& change) {
  config_.listen = "unix:" + dir_.path() + "/plugin.sock";
  config_.containerd_address = "unix:" + dir_.path() + "/containerd.sock";
  config_.sidecar_address = "unix:" + dir_.path() + "/sidecar.sock";
  config_.root = dir_.path() + "/content";
  config_.cache_dir = dir_.path() + "/cache";
  config_.state_dir = dir_.path() + "/state";
  config_.p2p.min_size = base::KiB(1);
  // Long, so that a slow machine is not taken for a hung sidecar; tests of time-outs shorten it.
  config_.p2p.sidecar_timeout = std::chrono::seconds(20);
  config_.p2p.stall_timeout = std::chrono::seconds(20);
  config_.p2p.budget = std::chrono::seconds(30);
  config_.metrics_listen = "127.0.0.1:0";
  config_.log_level = "warn";
  if (change) change(config_);
  containerd_ = std::make_unique<FakeContainerd>(config_.containerd_address);
  StartSidecar();
  StartPlugin();
}

Node::~Node() {
  StopPlugin();
  StopSidecar();
}

void Node::StartSidecar() {
  sidecar_ = std::make_unique<FakeSidecar>(config_.sidecar_address, config_.cache_dir);
}

void Node::StopPlugin() {
  client_.reset();
  app_.reset();
}

void Node::StartPlugin() {
  auto app = PluginApp::Start(config_);
  ASSERT_TRUE(app.ok()) << app.status();
  app_ = *std::move(app);
  client_ = std::make_unique<ContentClient>(config_.listen);
}

void Node::PullManifest(const TestImage& image, const std::string& containerd_namespace,
                        const std::string& registry, const std::string& repository) {
  const grpc::Status status = client_->Put(
      fmt::format("{}/1/manifest-{}", containerd_namespace, image.digest().str()), image.manifest);
  ASSERT_TRUE(status.ok()) << status.error_message();
  containerd_->AddSource(containerd_namespace, image.digest(), registry, repository);
}

std::string Node::LayerRef(const base::Digest& layer, const std::string& containerd_namespace) {
  return fmt::format("{}/7/layer-{}", containerd_namespace, layer.str());
}

double Node::Metric(const std::string& series) const {
  const std::string page = HttpGet(app_->metrics_port(), "/metrics");
  const std::size_t at = page.find("\n" + series + " ");
  if (at == std::string::npos) return 0;
  double value = 0;
  const char* start = page.data() + at + series.size() + 2;
  std::from_chars(start, page.data() + page.size(), value);
  return value;
}

std::string Node::BlobPath(const base::Digest& digest) const {
  return config_.root + "/blobs/sha256/" + digest.hex();
}

std::string Node::IngestPath(const std::string& ref) const {
  return config_.root + "/ingest/" + base::Digest::Of(ref).hex();
}

}  // namespace eagle::plugin::testing
