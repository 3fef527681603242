#include "plugin/testing/layer_pull.h"

#include <gtest/gtest.h>

namespace eagle::plugin::testing {

Pulled PullLayer(Node& node, const TestImage& image, std::size_t i,
                 const std::string& containerd_namespace) {
  return PullLayer(node.client(), image, i, containerd_namespace);
}

Pulled PullLayer(ContentClient& client, const TestImage& image, std::size_t i,
                 const std::string& containerd_namespace) {
  Pulled pulled;
  const std::int64_t size = image.size(i);
  const std::string digest = image.layer(i).str();
  auto write = client.OpenWrite(Node::LayerRef(image.layer(i), containerd_namespace));
  const auto first = write->Stat(size);
  const auto start = std::chrono::steady_clock::now();
  const auto second = write->Stat();
  pulled.waited = std::chrono::steady_clock::now() - start;
  if (first && second && second->offset() == size) {
    pulled.from_p2p = true;
    EXPECT_EQ(second->digest(), digest);
    const auto third = write->Stat();
    EXPECT_EQ(third->offset(), size);
    const auto commit = write->Commit(0, size, digest);
    if (commit) {
      EXPECT_EQ(commit->offset(), size);
      EXPECT_EQ(commit->digest(), digest);
    }
  } else if (first && second) {
    // Whatever happened, the answer is the first one's.
    EXPECT_EQ(second->SerializeAsString(), first->SerializeAsString());
    if (write->Write(0, image.layers[i])) write->Commit(size, size, digest);
  }
  pulled.status = write->End();
  return pulled;
}

double Fallbacks(const Node& node, const std::string& reason) {
  return node.Metric("eagle_plugin_layers_total{outcome=\"fallback\",reason=\"" + reason + "\"}");
}

double P2pLayers(const Node& node) {
  return node.Metric("eagle_plugin_layers_total{outcome=\"p2p\",reason=\"none\"}");
}

double P2pBytes(const Node& node, const std::string& source) {
  return node.Metric("eagle_plugin_p2p_bytes_total{source=\"" + source + "\"}");
}

void ExpectFallback(Node& node, const TestImage& image, std::size_t i, const std::string& reason) {
  const double before = Fallbacks(node, reason);
  const Pulled pulled = PullLayer(node, image, i);
  EXPECT_TRUE(pulled.status.ok()) << pulled.status.error_message();
  EXPECT_FALSE(pulled.from_p2p);
  EXPECT_TRUE(node.client().Has(image.layer(i)));
  EXPECT_EQ(Fallbacks(node, reason), before + 1) << reason;
}

}  // namespace eagle::plugin::testing
