#include "plugin/open_blobs.h"

#include <gtest/gtest.h>

namespace eagle::plugin {
namespace {

BlobName Name(int i) {
  return BlobName(base::Digest::Of(std::to_string(i)));
}

TEST(OpenBlobs, KeepsThoseUsedLast) {
  OpenBlobs blobs(2);
  for (int i : {1, 2}) blobs.Add(Name(i), std::make_shared<OpenBlob>(), blobs.generation());
  EXPECT_NE(blobs.Find(Name(1)), nullptr);
  blobs.Add(Name(3), std::make_shared<OpenBlob>(), blobs.generation());
  EXPECT_NE(blobs.Find(Name(1)), nullptr);
  EXPECT_EQ(blobs.Find(Name(2)), nullptr);
  EXPECT_NE(blobs.Find(Name(3)), nullptr);
}

TEST(OpenBlobs, DoesNotKeepABlobThatWasDeletedWhileItWasOpened) {
  OpenBlobs blobs(2);
  const std::uint64_t before = blobs.generation();
  blobs.Forget(Name(1));
  blobs.Add(Name(1), std::make_shared<OpenBlob>(), before);
  EXPECT_EQ(blobs.Find(Name(1)), nullptr);
}

}  // namespace
}  // namespace eagle::plugin
