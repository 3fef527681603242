#include "lib/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lib/testing/temp_dir.h"

namespace eagle::base {
namespace {

TEST(File, AtomicWriteReplacesAndLeavesNoTemporary) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/f";
  ASSERT_TRUE(WriteFileAtomic(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomic(path, "two").ok());
  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(File, ReadFileRefusesMoreThanAllowed) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/f";
  ASSERT_TRUE(WriteFileAtomic(path, "12345").ok());
  EXPECT_EQ(ReadFile(path, 4).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*ReadFile(path, 5), "12345");
}

TEST(File, MissingFileIsNotFoundAndNamesThePath) {
  const auto result = ReadFile("/nonexistent/file");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(Message(result.status()).find("/nonexistent/file"), std::string_view::npos);
}

TEST(File, MakeDirectoriesMakesParentsAndRefusesAFile) {
  testing::TempDir dir;
  EXPECT_TRUE(MakeDirectories(dir.path() + "/a/b/c").ok());
  EXPECT_TRUE(MakeDirectories(dir.path() + "/a/b/c").ok());
  ASSERT_TRUE(WriteFileAtomic(dir.path() + "/file", "x").ok());
  EXPECT_FALSE(MakeDirectories(dir.path() + "/file").ok());
  EXPECT_FALSE(MakeDirectories(dir.path() + "/file/sub").ok());
}

TEST(File, ReadAtStopsAtTheEnd) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/f";
  ASSERT_TRUE(WriteFileAtomic(path, "abcdef").ok());
  auto fd = OpenFile(path, O_RDONLY);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(*ReadAt(fd->get(), 4, 100), "ef");
  EXPECT_EQ(*ReadAt(fd->get(), 6, 100), "");
}

}  // namespace
}  // namespace eagle::base
