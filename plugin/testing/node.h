#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/testing/temp_dir.h"
#include "plugin/plugin_app.h"
#include "plugin/plugin_config.h"
#include "plugin/testing/content_client.h"
#include "plugin/testing/fake_containerd.h"
#include "plugin/testing/fake_sidecar.h"

namespace eagle::plugin::testing {

/// An image for tests: layers of random bytes and the manifest that names them.
struct TestImage {
  std::vector<std::string> layers;
  std::string manifest;

  /// `salt` makes the bytes differ between images.
  static TestImage Make(const std::vector<std::int64_t>& sizes, int salt = 0);
  [[nodiscard]] base::Digest layer(std::size_t i) const { return base::Digest::Of(layers[i]); }
  [[nodiscard]] std::int64_t size(std::size_t i) const {
    return static_cast<std::int64_t>(layers[i].size());
  }
  [[nodiscard]] base::Digest digest() const { return base::Digest::Of(manifest); }
};

/// The whole plugin on sockets in a temporary folder, between a containerd and a sidecar that are
/// fakes behind real sockets.
class Node {
 public:
  /// `change` may change the configuration before the start.
  explicit Node(const std::function<void(PluginConfig&)>& change = {});
  ~Node();

  ContentClient& client() { return *client_; }
  FakeContainerd& containerd() { return *containerd_; }
  FakeSidecar& sidecar() { return *sidecar_; }
  [[nodiscard]] const PluginConfig& config() const { return config_; }

  void StopSidecar() { sidecar_.reset(); }
  void StartSidecar();
  void StopPlugin();
  void StartPlugin();

  /// What a pull does before its layers: commits the manifest, which then has its source label.
  void PullManifest(const TestImage& image, const std::string& containerd_namespace = "k8s.io",
                    const std::string& registry = "registry.example",
                    const std::string& repository = "team/app");
  [[nodiscard]] static std::string LayerRef(const base::Digest& layer,
                                            const std::string& containerd_namespace = "k8s.io");

  /// The value of a series on /metrics, as "name{labels}"; 0 when it is not there.
  [[nodiscard]] double Metric(const std::string& series) const;

  [[nodiscard]] std::string BlobPath(const base::Digest& digest) const;
  [[nodiscard]] std::string IngestPath(const std::string& ref) const;

 private:
  eagle::testing::TempDir dir_;
  PluginConfig config_;
  std::unique_ptr<FakeContainerd> containerd_;
  std::unique_ptr<FakeSidecar> sidecar_;
  std::unique_ptr<PluginApp> app_;
  std::unique_ptr<ContentClient> client_;
};

}  // namespace eagle::plugin::testing
