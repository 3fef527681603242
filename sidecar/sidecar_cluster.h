#pragma once

// Real parts for the integration tests: a seeder that is a MetaInfo service and a BitTorrent
// session, and a client of the node service. Each has a loopback address of its own.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "api/metainfo/metainfo.grpc.pb.h"
#include "api/node/node.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/server.h"
#include "lib/swarm/session.h"
#include "lib/testing/temp_dir.h"
#include "sidecar/sidecar_fakes.h"

namespace eagle::sidecar {

inline TestLayer RandomLayer(std::size_t size, std::uint32_t seed) {
  std::string data(size, '\0');
  for (char& byte : data) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    byte = static_cast<char>(seed >> 24);
  }
  return MakeTestLayer(data);
}

inline std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class TestSeeder final : public metainfo::MetaInfo::Service {
 public:
  explicit TestSeeder(const std::string& address, std::vector<std::string> trackers = {})
      : address_(address) {
    swarm::SessionOptions options;
    options.role = swarm::Role::kSeeder;
    options.listen_address = address;
    options.trackers = std::move(trackers);
    session = swarm::Session::Start(options).value();
    server_ = rpc::Server::Start(
                  {.addresses = {address + ":0"}, .unix_mode = 0600, .listen_fds = {}}, {this})
                  .value();
  }

  [[nodiscard]] std::string target() const {
    return address_ + ":" + std::to_string(server_->port());
  }
  void Add(const TestLayer& layer) {
    std::ofstream(dir_.path() + "/" + layer.digest.hex(), std::ios::binary) << layer.data;
    const absl::Status seeded = session->Seed({layer.metainfo, dir_.path()});
    ASSERT_TRUE(seeded.ok()) << seeded;
    absl::MutexLock lock(&mutex_);
    layers_[layer.digest.str()] = layer.metainfo;
  }

  grpc::Status WatchMetaInfo(grpc::ServerContext*, const metainfo::MetaInfoRequest* request,
                             grpc::ServerWriter<metainfo::MetaInfoProgress>* writer) override {
    ++questions;
    absl::MutexLock lock(&mutex_);
    const std::string digest = request->url().substr(request->url().rfind('/') + 1);
    const auto found = layers_.find(digest);
    if (found == layers_.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
    metainfo::MetaInfoProgress progress;
    progress.set_metainfo(found->second);
    if (session != nullptr) {
      progress.add_peers(address_ + ":" + std::to_string(session->port()));
    }
    writer->Write(progress);
    return grpc::Status::OK;
  }

  std::atomic<int> questions{0};
  /// May be ended: the service then answers without being in the swarm.
  std::unique_ptr<swarm::Session> session;

 private:
  const std::string address_;
  testing::TempDir dir_;
  absl::Mutex mutex_;
  std::map<std::string, std::string> layers_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<rpc::Server> server_;
};

/// The plugin's side.
class NodeClient {
 public:
  struct Result {
    grpc::Status status;
    std::vector<node::v1::FetchEvent> events;
    double seconds = 0;

    [[nodiscard]] bool done() const { return !events.empty() && events.back().has_done(); }
    [[nodiscard]] const node::v1::FetchEvent& last() const { return events.back(); }
    [[nodiscard]] std::string Explain() const {
      return status.error_message() + (events.empty() ? "" : last().ShortDebugString());
    }
  };

  explicit NodeClient(const std::string& address)
      : stub(node::v1::Node::NewStub(rpc::MakeChannel(address))) {}

  static void Fill(const WantedLayer& layer, node::v1::Layer* wire) {
    wire->set_digest(layer.digest.str());
    wire->set_size(layer.size_bytes);
    for (const Source& source : layer.sources) {
      auto* to = wire->add_sources();
      to->set_registry(source.registry);
      to->set_repository(source.repository);
    }
  }

  /// Until the end, or until `enough` says so of an event, which cancels the call.
  Result Fetch(const WantedLayer& layer,
               const std::function<bool(const node::v1::FetchEvent&)>& enough = nullptr) {
    Result result;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    context.set_wait_for_ready(true);
    node::v1::FetchRequest request;
    Fill(layer, request.mutable_layer());
    const auto start = std::chrono::steady_clock::now();
    const auto reader = stub->Fetch(&context, request);
    node::v1::FetchEvent event;
    while (reader->Read(&event)) {
      result.events.push_back(event);
      if (enough && enough(event)) context.TryCancel();
    }
    result.status = reader->Finish();
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

  grpc::Status Prefetch(const std::vector<WantedLayer>& layers) {
    grpc::ClientContext context;
    node::v1::PrefetchRequest request;
    node::v1::PrefetchReply reply;
    for (const WantedLayer& layer : layers) Fill(layer, request.add_layers());
    return stub->Prefetch(&context, request, &reply);
  }

  grpc::Status Discard(const std::string& digest) {
    grpc::ClientContext context;
    node::v1::DiscardRequest request;
    node::v1::DiscardReply reply;
    request.set_digest(digest);
    return stub->Discard(&context, request, &reply);
  }

  node::v1::GetStatusReply Status() {
    grpc::ClientContext context;
    node::v1::GetStatusReply reply;
    EXPECT_TRUE(stub->GetStatus(&context, {}, &reply).ok());
    return reply;
  }

  const std::unique_ptr<node::v1::Node::Stub> stub;
};

}  // namespace eagle::sidecar
