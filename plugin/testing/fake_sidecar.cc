#include "plugin/testing/fake_sidecar.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "lib/base/file.h"
#include "plugin/testing/wait.h"

namespace eagle::plugin::testing {

namespace api = eagle::node::v1;

void FakeSidecar::Transfer::Progress(std::int64_t done, std::int64_t contiguous) {
  api::FetchEvent event;
  event.mutable_progress()->set_stage(api::Progress::SWARM);
  event.mutable_progress()->set_bytes_done(done);
  event.mutable_progress()->set_bytes_contiguous(contiguous);
  Send(event);
}

void FakeSidecar::Transfer::AtOrigin(std::int64_t bytes) {
  api::FetchEvent event;
  event.mutable_progress()->set_stage(api::Progress::ORIGIN);
  event.mutable_progress()->set_bytes_at_origin(bytes);
  Send(event);
}

void FakeSidecar::Transfer::Done(const std::string& file_name, std::int64_t peers,
                                 std::int64_t seeders) {
  api::FetchEvent event;
  event.mutable_done()->set_file_name(file_name);
  event.mutable_done()->set_bytes_from_peers(peers);
  event.mutable_done()->set_bytes_from_seeders(seeders);
  Send(event);
}

void FakeSidecar::Transfer::Fail(api::Failed::Reason reason) {
  api::FetchEvent event;
  event.mutable_failed()->set_reason(reason);
  event.mutable_failed()->set_message("as the test says");
  Send(event);
}

void FakeSidecar::Transfer::Send(const api::FetchEvent& event) {
  writer_->Write(event, grpc::WriteOptions().set_write_through());
}

bool FakeSidecar::Transfer::AwaitCancelled() const {
  return Eventually([this] { return Cancelled(); });
}

FakeSidecar::FakeSidecar(const std::string& address, std::string cache_dir)
    : cache_dir_(std::move(cache_dir)) {
  std::filesystem::create_directories(cache_dir_ + "/blobs");
  play_ = [this](const api::Layer& layer, Transfer& transfer) {
    const std::string hex = layer.digest().substr(layer.digest().find(':') + 1);
    if (std::filesystem::exists(cache_dir_ + "/blobs/" + hex)) {
      transfer.Done(hex, layer.size(), 0);
    } else {
      transfer.Fail(api::Failed::NO_SEEDER);
    }
  };
  auto server = rpc::Server::Start({.addresses = {address}, .listen_fds = {}}, {this});
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
}

FakeSidecar::~FakeSidecar() {
  server_.reset();
}

void FakeSidecar::SetPlay(Play play) {
  absl::MutexLock lock(&mutex_);
  play_ = std::move(play);
}

std::string FakeSidecar::PathOf(const base::Digest& digest) const {
  return cache_dir_ + "/blobs/" + digest.hex();
}

void FakeSidecar::Store(const base::Digest& digest, const std::string& content) {
  std::ofstream(PathOf(digest), std::ios::binary) << content;
}

int FakeSidecar::fetches(const base::Digest& digest) const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(std::count_if(fetched_.begin(), fetched_.end(), [&](const auto& layer) {
    return layer.digest() == digest.str();
  }));
}

std::vector<api::Layer> FakeSidecar::fetched() const {
  absl::MutexLock lock(&mutex_);
  return fetched_;
}

std::vector<std::string> FakeSidecar::prefetched() const {
  absl::MutexLock lock(&mutex_);
  return prefetched_;
}

std::vector<std::string> FakeSidecar::discarded() const {
  absl::MutexLock lock(&mutex_);
  return discarded_;
}

grpc::Status FakeSidecar::Fetch(grpc::ServerContext* context, const api::FetchRequest* request,
                                grpc::ServerWriter<api::FetchEvent>* writer) {
  Play play;
  {
    absl::MutexLock lock(&mutex_);
    fetched_.push_back(request->layer());
    play = play_;
  }
  writer->SendInitialMetadata();
  Transfer transfer(context, writer);
  play(request->layer(), transfer);
  return grpc::Status::OK;
}

grpc::Status FakeSidecar::Prefetch(grpc::ServerContext*, const api::PrefetchRequest* request,
                                   api::PrefetchReply*) {
  absl::MutexLock lock(&mutex_);
  for (const auto& layer : request->layers()) prefetched_.push_back(layer.digest());
  return grpc::Status::OK;
}

grpc::Status FakeSidecar::Discard(grpc::ServerContext*, const api::DiscardRequest* request,
                                  api::DiscardReply*) {
  absl::MutexLock lock(&mutex_);
  discarded_.push_back(request->digest());
  std::filesystem::remove(cache_dir_ + "/blobs/" +
                          request->digest().substr(request->digest().find(':') + 1));
  return grpc::Status::OK;
}

}  // namespace eagle::plugin::testing
