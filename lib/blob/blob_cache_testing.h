#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/file.h"
#include "lib/blob/blob_cache.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"

namespace eagle::blob {

/// Writes `content` as a finished blob file: whole, synced, 0444.
inline void WriteBlobFile(const std::string& path, std::string_view content,
                          unsigned int mode = 0444) {
  auto fd = base::OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  ASSERT_TRUE(fd.ok()) << fd.status();
  ASSERT_TRUE(base::WriteAllAt(fd->get(), content, 0).ok());
  ASSERT_EQ(::fsync(fd->get()), 0);
  ASSERT_EQ(::fchmod(fd->get(), mode), 0);
}

class BlobCacheTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    cache_.reset();
    BlobCacheOptions options;
    options.directory = directory();
    options.limit = limit_;
    options.min_free = min_free_;
    options.free_bytes = [this]() -> absl::StatusOr<std::int64_t> { return free_bytes_; };
    auto cache = BlobCache::Open(options, clock_);
    ASSERT_TRUE(cache.ok()) << cache.status();
    cache_ = *std::move(cache);
  }

  [[nodiscard]] std::string directory() const { return dir_.path() + "/cache"; }
  [[nodiscard]] std::string PathOf(const base::Digest& digest) const {
    return directory() + "/blobs/" + digest.hex();
  }
  [[nodiscard]] bool FileExists(const base::Digest& digest) const {
    return ::access(PathOf(digest).c_str(), F_OK) == 0;
  }
  [[nodiscard]] bool Knows(const base::Digest& digest) const {
    return cache_->Find(digest).has_value();
  }

  /// Content of `size` bytes, different for each name.
  static std::string Content(std::string_view name, std::size_t size) {
    std::string content(size, '.');
    name.copy(content.data(), size);
    return content;
  }
  static base::Digest DigestOf(std::string_view name, std::size_t size) {
    return base::Digest::Of(Content(name, size));
  }

  base::Digest Add(std::string_view name, std::size_t size = 100) {
    const std::string content = Content(name, size);
    const base::Digest digest = base::Digest::Of(content);
    auto pin = cache_->Reserve(digest, static_cast<std::int64_t>(size));
    EXPECT_TRUE(pin.ok()) << pin.status();
    WriteBlobFile(cache_->PathOf(digest), content);
    const absl::Status complete = cache_->MarkComplete(digest);
    EXPECT_TRUE(complete.ok()) << complete;
    return digest;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  base::ByteSize limit_{300};
  base::ByteSize min_free_{};
  std::int64_t free_bytes_ = std::int64_t{1} << 40;
  std::unique_ptr<BlobCache> cache_;
};

}  // namespace eagle::blob
