#include "seeder/layer_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eagle::seeder {
namespace {

using ::testing::ElementsAre;

metainfo::MetaInfoRequest Message() {
  metainfo::MetaInfoRequest message;
  message.set_url("https://Registry.lab/v2/library/app/blobs/sha256:" + std::string(64, 'a'));
  return message;
}

TEST(LayerRequest, IsWhatTheUrlSays) {
  const auto request = LayerRequest::Parse(Message());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->registry, "registry.lab");
  EXPECT_THAT(request->repositories, ElementsAre("library/app"));
  EXPECT_EQ(request->size_bytes, std::nullopt);
  EXPECT_EQ(request->source(), "registry.lab/library/app");
}

TEST(LayerRequest, NamesFurtherRepositoriesOnceEach) {
  metainfo::MetaInfoRequest message = Message();
  for (const char* name : {"team/app", "library/app", "team/app"}) message.add_repositories(name);
  message.set_size(42);
  const auto request = LayerRequest::Parse(message);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->repositories, ElementsAre("library/app", "team/app"));
  EXPECT_EQ(request->size_bytes, 42);
  // As it is passed on to another seeder.
  EXPECT_EQ(*LayerRequest::Parse(request->ToProto()), *request);
}

TEST(LayerRequest, RefusesWhatIsMalformed) {
  metainfo::MetaInfoRequest message = Message();
  message.add_repositories("../secret");
  EXPECT_TRUE(absl::IsInvalidArgument(LayerRequest::Parse(message).status()));
  message = Message();
  message.set_size(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(LayerRequest::Parse(message).status()));
  message = Message();
  for (int i = 0; i < 17; ++i) message.add_repositories("r" + std::to_string(i));
  EXPECT_TRUE(absl::IsInvalidArgument(LayerRequest::Parse(message).status()));
  message.Clear();
  EXPECT_TRUE(absl::IsInvalidArgument(LayerRequest::Parse(message).status()));
}

}  // namespace
}  // namespace eagle::seeder
