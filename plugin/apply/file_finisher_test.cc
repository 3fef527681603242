#include "plugin/apply/file_finisher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/testing/temp_dir.h"

namespace eagle::apply {
namespace {

using ::testing::HasSubstr;

constexpr FileAttributes kPlain{.uid = 0, .gid = 0, .permissions = 0640, .times = {}};

class FileFinisherTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }
  [[nodiscard]] base::UniqueFd Make(const std::string& name, int flags = O_WRONLY) const {
    return base::UniqueFd(::open(Path(name).c_str(), flags | O_CREAT | O_CLOEXEC, 0600));
  }
  [[nodiscard]] std::string Content(const std::string& name) const {
    return base::ReadFile(Path(name), 1 << 20).value_or("(unreadable)");
  }

  eagle::testing::TempDir dir_;
};

TEST_F(FileFinisherTest, AllFilesHaveBytesAndAttributesAfterFlush) {
  constexpr int kFiles = 1000;
  FileFinisher finisher;
  FileAttributes attributes{.uid = ::geteuid(), .gid = ::getegid(), .permissions = 04751};
  attributes.times = {timespec{100, 1}, timespec{200, 2}};
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = fmt::format("{}", i);
    finisher.Add({Make(name), name, attributes, name});
  }
  finisher.Flush();
  ASSERT_TRUE(finisher.status().ok()) << finisher.status();
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = fmt::format("{}", i);
    struct stat info {};
    ASSERT_EQ(::stat(Path(name).c_str(), &info), 0);
    ASSERT_EQ(Content(name), name);
    ASSERT_EQ(info.st_mode & 07777, 04751);
    ASSERT_EQ(info.st_mtim.tv_sec, 200);
    ASSERT_EQ(info.st_mtim.tv_nsec, 2);
  }
}

TEST_F(FileFinisherTest, TheFirstErrorNamesItsFileAndNothingIsWrittenAfterIt) {
  FileFinisher finisher;
  FileAttributes attributes = kPlain;
  attributes.uid = ::geteuid();
  attributes.gid = ::getegid();
  finisher.Add({Make("good"), "bytes", attributes, "good"});
  finisher.Add({Make("read-only", O_RDONLY), "bytes", attributes, "read-only"});
  finisher.Add({Make("later"), "bytes", attributes, "later"});
  finisher.Flush();
  EXPECT_THAT(std::string(base::Message(finisher.status())), HasSubstr("\"read-only\""));
  EXPECT_EQ(Content("good"), "bytes");
  EXPECT_EQ(Content("later"), "");
}

TEST_F(FileFinisherTest, EndsWithoutFlush) {
  FileFinisher finisher;
  for (int i = 0; i < 100; ++i) {
    finisher.Add({Make(fmt::format("{}", i)), "bytes", kPlain, "file"});
  }
}

TEST_F(FileFinisherTest, ManyFlushesWithNothingToDoReturn) {
  FileFinisher finisher;
  for (int i = 0; i < 10'000; ++i) finisher.Flush();
  EXPECT_TRUE(finisher.status().ok());
}

}  // namespace
}  // namespace eagle::apply
