#include "seeder/ssi/backend.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "seeder/ssi/backend_contract.h"
#include "seeder/ssi/fs_backend.h"
#include "seeder/ssi/plugin_backend.h"

namespace eagle::ssi {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Backend> OpenFs(const std::string& directory) {
  auto backend = FsBackend::Open(directory + "/store");
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *std::move(backend);
}

std::unique_ptr<Backend> OpenExample(const std::string&) {
  auto backend = OpenPlugin(EAGLE_SSI_EXAMPLE, {});
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *std::move(backend);
}

INSTANTIATE_TEST_SUITE_P(Fs, BackendContract, ::testing::Values(BackendCase{"fs", OpenFs, true}));
INSTANTIATE_TEST_SUITE_P(Plugin, BackendContract,
                         ::testing::Values(BackendCase{"example", OpenExample, false}));

TEST(FsBackend, RemovesOldLeftoversOnly) {
  const testing::TempDir dir;
  ASSERT_TRUE(base::MakeDirectories(dir.path() + "/incoming").ok());
  const std::string old = dir.path() + "/incoming/old";
  const std::string recent = dir.path() + "/incoming/recent";
  ASSERT_TRUE(base::WriteFileAtomic(old, "x").ok());
  ASSERT_TRUE(base::WriteFileAtomic(recent, "x").ok());
  const timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, old.c_str(), times, 0), 0);
  ASSERT_TRUE(FsBackend::Open(dir.path()).ok());
  EXPECT_FALSE(base::ReadFile(old).ok());
  // It may be another seeder's, that is at work now.
  EXPECT_TRUE(base::ReadFile(recent).ok());
}

TEST(FsBackend, StopEndsWhatComesAfterIt) {
  const testing::TempDir dir;
  const auto backend = FsBackend::Open(dir.path());
  ASSERT_TRUE(backend.ok());
  (*backend)->Stop();
  EXPECT_TRUE(absl::IsCancelled((*backend)->Create("ab", 1, "").status()));
}

TEST(Plugin, SaysWhyItCanNotBeLoaded) {
  const auto missing = OpenPlugin("/nowhere/lib.so", {});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(missing.status())), HasSubstr("/nowhere/lib.so"));
  // A shared object, but none of ours.
  const auto other = OpenPlugin("libm.so.6", {});
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(other.status())), HasSubstr("version 1"));
}

TEST(Plugin, ItsErrorsArePassedOn) {
  const auto unknown = OpenPlugin(EAGLE_SSI_EXAMPLE, {{"colour", "red"}});
  EXPECT_TRUE(absl::IsInvalidArgument(unknown.status()));
  EXPECT_THAT(std::string(base::Message(unknown.status())), HasSubstr("unknown option colour"));
  const auto small = OpenPlugin(EAGLE_SSI_EXAMPLE, {{"limit", "10"}});
  ASSERT_TRUE(small.ok()) << small.status();
  const auto upload = (*small)->Create("ab", 11, "");
  ASSERT_TRUE(upload.ok());
  EXPECT_TRUE(absl::IsResourceExhausted((*upload)->Write(std::string(11, 'x'))));
}

}  // namespace
}  // namespace eagle::ssi
