#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <string>

#include "plugin/testing/node.h"

namespace eagle::plugin::testing {

/// What became of a layer that was pulled as containerd does it.
struct Pulled {
  /// Nothing had to come from the registry.
  bool from_p2p = false;
  grpc::Status status;
  /// Between the second STAT and its answer.
  std::chrono::steady_clock::duration waited{};
};

/// STAT, STAT, and then COMMIT or what the registry would have sent. Checks that the second answer
/// is either the whole layer or the first answer again.
Pulled PullLayer(ContentClient& client, const TestImage& image, std::size_t i,
                 const std::string& containerd_namespace = "k8s.io");
Pulled PullLayer(Node& node, const TestImage& image, std::size_t i,
                 const std::string& containerd_namespace = "k8s.io");

/// Pulls a layer that must come from the registry, for this reason.
void ExpectFallback(Node& node, const TestImage& image, std::size_t i, const std::string& reason);

double Fallbacks(const Node& node, const std::string& reason);
double P2pLayers(const Node& node);
double P2pBytes(const Node& node, const std::string& source);

}  // namespace eagle::plugin::testing
