#include "plugin/apply/testing/layer_test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include <climits>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "lib/base/file.h"

namespace eagle::apply::testing {

LayerTest::LayerTest() {
  for (const char* name : {"upper", "work", "lower1", "lower2", "mnt"}) {
    std::filesystem::create_directory(Path(name));
  }
}

void LayerTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  // A mount table of its own: nothing that is mounted here shows on the machine or to other tests.
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
}

std::string LayerTest::Path(const std::string& name) const {
  return dir_.path() + "/" + name;
}

std::string LayerTest::Upper(const std::string& name) const {
  return Path("upper/" + name);
}

std::vector<Mount> LayerTest::Overlay() const {
  return {{"overlay",
           "overlay",
           "",
           {"workdir=" + Path("work"), "upperdir=" + Path("upper"),
            "lowerdir=" + Path("lower2") + ":" + Path("lower1")}}};
}

std::vector<Mount> LayerTest::Bind() const {
  return {{"bind", Path("upper"), "", {"rw", "rbind"}}};
}

absl::StatusOr<ApplyResult> LayerTest::Apply(const std::string& blob,
                                             const std::vector<Mount>& mounts) {
  return Apply(blob, ApplyRequest{.mounts = mounts});
}

absl::StatusOr<ApplyResult> LayerTest::Apply(const std::string& blob, const ApplyRequest& request) {
  std::ofstream(Path("blob"), std::ios::trunc) << blob;
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenFile(Path("blob"), O_RDONLY));
  return ApplyLayer(fd.get(), request, Path("mnt"), cancellation_);
}

void LayerTest::ApplyOk(const std::string& blob, const std::vector<Mount>& mounts) {
  const auto result = Apply(blob, mounts);
  ASSERT_TRUE(result.ok()) << result.status();
}

std::optional<struct stat> LayerTest::Stat(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  return info;
}

mode_t LayerTest::Mode(const std::string& path) {
  const auto info = Stat(path);
  return info ? info->st_mode : 0;
}

std::string LayerTest::Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string LayerTest::LinkText(const std::string& path) {
  std::string text(PATH_MAX, '\0');
  const ssize_t size = ::readlink(path.c_str(), text.data(), text.size());
  return text.substr(0, size < 0 ? 0 : static_cast<std::size_t>(size));
}

std::optional<std::string> LayerTest::Xattr(const std::string& path, const std::string& name) {
  std::string value(4096, '\0');
  const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
  if (size < 0) return std::nullopt;
  return value.substr(0, static_cast<std::size_t>(size));
}

}  // namespace eagle::apply::testing
