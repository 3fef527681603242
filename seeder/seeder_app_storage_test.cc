// What a seeder has beside its own disk and the nodes' service.
#include <gtest/gtest.h>

#include "api/seeder/seeder.grpc.pb.h"
#include "lib/base/file.h"
#include "seeder/seeder_app_testing.h"

namespace eagle::seeder {
namespace {

TEST_F(SeederAppTest, WhatTheDiskHasEvictedComesBackFromTheBackEnd) {
  ServeLayers();
  configs_[0].seeders.clear();
  configs_[0].storage.limit = base::ByteSize{3 << 19};  // a layer and a half
  configs_[0].storage.backend.options = {{"directory", dir_.path() + "/tier"}};
  StartSeeder(0);
  const std::string first = NewLayer(0);
  ASSERT_TRUE(Get(0, RequestFor(first), nullptr).ok());
  // Until then the layer would not be evicted.
  ASSERT_TRUE(MetricBecomes(0, "eagle_seeder_kept_layers_total{result=\"ok\"} 1"));
  ASSERT_TRUE(Get(0, RequestFor(NewLayer(0)), nullptr).ok());
  ASSERT_FALSE(Stored(0, first));
  ASSERT_TRUE(MetricBecomes(0, "eagle_seeder_kept_layers_total{result=\"ok\"} 2"));
  ASSERT_TRUE(Get(0, RequestFor(first), nullptr).ok());
  EXPECT_TRUE(Stored(0, first));
  EXPECT_EQ(registry_->requests().size(), 2u);
  EXPECT_TRUE(MetricBecomes(0, "eagle_seeder_restored_bytes_total 1048576"));
}

TEST_F(SeederAppTest, CredentialsAndRepositoriesOfTheRequestReachTheRegistry) {
  const std::string layer = NewLayer(0);
  Serve([&](const registry::FakeRequest& request) {
    registry::FakeReply reply;
    if (request.header("Authorization") != "Basic dXNlcjpwYXNz") {
      reply.status = 401;
      reply.headers.emplace_back("WWW-Authenticate", "Basic realm=\"lab\"");
      return reply;
    }
    if (request.target.starts_with("/v2/team/app/")) return registry::FakeReply::Of(layer, request);
    reply.status = 403;
    return reply;
  });
  ASSERT_TRUE(
      base::WriteFileAtomic(dir_.path() + "/config.json",
                            R"({"auths":{"registry.lab":{"username":"user","password":"pass"}}})")
          .ok());
  for (SeederConfig& config : configs_) config.docker_config = dir_.path() + "/config.json";
  StartAll();
  metainfo::MetaInfoRequest request = RequestFor(layer);
  EXPECT_EQ(Get(1, request, nullptr).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  // The one that does not own it passes all of the request on.
  request.add_repositories("team/app");
  EXPECT_TRUE(Get(1, request, nullptr).ok());
}

TEST_F(SeederAppTest, AnOperatorListsAndRemovesLayersOverASocketOfItsOwn) {
  ServeLayers();
  configs_[0].seeders.clear();
  StartSeeder(0);
  const std::string layer = NewLayer(0);
  ASSERT_TRUE(Get(0, RequestFor(layer), nullptr).ok());
  const auto admin =
      v1::Seeder::NewStub(rpc::MakeChannel("unix:" + configs_[0].data_dir + "/admin.sock"));
  const auto call = [&](auto method, const auto& request, auto* reply) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    return (admin.get()->*method)(&context, request, reply).error_code();
  };
  v1::ListLayersReply list;
  ASSERT_EQ(call(&v1::Seeder::Stub::ListLayers, v1::ListLayersRequest(), &list),
            grpc::StatusCode::OK);
  ASSERT_EQ(list.layers_size(), 1);
  EXPECT_EQ(list.layers(0).digest(), base::Digest::Of(layer).str());
  EXPECT_EQ(list.layers(0).source(), "registry.lab/library/app");
  EXPECT_TRUE(list.layers(0).complete());
  v1::GetStatusReply status;
  ASSERT_EQ(call(&v1::Seeder::Stub::GetStatus, v1::GetStatusRequest(), &status),
            grpc::StatusCode::OK);
  EXPECT_EQ(status.stored_bytes(), 1 << 20);
  EXPECT_EQ(status.torrents(), 1);
  v1::RemoveLayerRequest remove;
  v1::RemoveLayerReply removed;
  remove.set_digest(base::Digest::Of(layer).str());
  EXPECT_EQ(call(&v1::Seeder::Stub::RemoveLayer, remove, &removed), grpc::StatusCode::OK);
  EXPECT_FALSE(Stored(0, layer));
  EXPECT_EQ(call(&v1::Seeder::Stub::RemoveLayer, remove, &removed), grpc::StatusCode::NOT_FOUND);
  remove.set_digest("latest");
  EXPECT_EQ(call(&v1::Seeder::Stub::RemoveLayer, remove, &removed),
            grpc::StatusCode::INVALID_ARGUMENT);
  // Nodes do not reach it.
  const auto node = v1::Seeder::NewStub(rpc::MakeChannel(configs_[0].self));
  grpc::ClientContext context;
  EXPECT_EQ(node->GetStatus(&context, {}, &status).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace eagle::seeder
