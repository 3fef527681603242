#include "plugin/testing/fake_containerd.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

namespace eagle::plugin::testing {

namespace api = containerd::services::content::v1;

FakeContainerd::FakeContainerd(const std::string& address) {
  auto server = rpc::Server::Start({.addresses = {address}, .listen_fds = {}}, {this});
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
}

FakeContainerd::~FakeContainerd() {
  Continue();
  server_.reset();
}

void FakeContainerd::AddSource(const std::string& containerd_namespace,
                               const base::Digest& manifest, const std::string& registry,
                               const std::string& repositories) {
  absl::MutexLock lock(&mutex_);
  labels_[{containerd_namespace, manifest.str()}]["containerd.io/distribution.source." + registry] =
      repositories;
}

void FakeContainerd::Hang() {
  absl::MutexLock lock(&mutex_);
  hanging_ = true;
}

void FakeContainerd::Continue() {
  absl::MutexLock lock(&mutex_);
  hanging_ = false;
}

grpc::Status FakeContainerd::Info(grpc::ServerContext* context, const api::InfoRequest* request,
                                  api::InfoResponse* response) {
  const auto header = context->client_metadata().find("containerd-namespace");
  if (header == context->client_metadata().end()) {
    return {grpc::StatusCode::FAILED_PRECONDITION, "namespace is required"};
  }
  const std::string name(header->second.data(), header->second.size());
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](bool* hanging) { return !*hanging; }, &hanging_));
  const auto found = labels_.find({name, request->digest()});
  if (found == labels_.end()) return {grpc::StatusCode::NOT_FOUND, "not found"};
  response->mutable_info()->set_digest(request->digest());
  for (const auto& [key, value] : found->second) {
    (*response->mutable_info()->mutable_labels())[key] = value;
  }
  return grpc::Status::OK;
}

}  // namespace eagle::plugin::testing
