#include "plugin/apply/testing/tree_snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <ctime>

#include "lib/base/digest.h"
#include "lib/base/unique_fd.h"
#include "plugin/apply/lexical_path.h"

namespace eagle::apply::testing {
namespace {

std::string Time(const timespec& time) {
  constexpr time_t kRecentSeconds = 24 * 3600;
  if (std::time(nullptr) - time.tv_sec < kRecentSeconds) return "now";
  return fmt::format("{}.{:09}", time.tv_sec, time.tv_nsec);
}

std::string Xattrs(const std::string& path) {
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  if (size <= 0) return "";
  std::map<std::string, std::string> all;
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::strlen(&names[at])) + 1) {
    const std::string name = &names[at];
    std::string value(XATTR_SIZE_MAX, '\0');
    const ssize_t bytes = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
    all[name] = value.size() > 64 ? base::Digest::Of(value).hex() : value;
  }
  std::string out;
  for (const auto& [name, value] : all) out += fmt::format(" {}=\"{}\"", name, Printable(value));
  return out;
}

std::string Content(const std::string& path, const struct stat& info) {
  if (S_ISLNK(info.st_mode)) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    return " -> " + target.substr(0, size < 0 ? 0 : static_cast<std::size_t>(size));
  }
  if (!S_ISREG(info.st_mode)) return "";
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOATIME | O_NOFOLLOW | O_CLOEXEC));
  base::Sha256 sha256;
  std::string part(1 << 16, '\0');
  ssize_t size;
  while ((size = ::read(fd.get(), part.data(), part.size())) > 0) {
    sha256.Update({part.data(), static_cast<std::size_t>(size)});
  }
  return " " + sha256.Current().hex().substr(0, 16);
}

std::vector<std::string> Names(const std::string& path) {
  std::vector<std::string> names;
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
  DIR* dir = ::fdopendir(fd);
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

void Visit(const std::string& root, const std::string& path, std::map<ino_t, std::string>* inodes,
           TreeSnapshot* snapshot) {
  const std::string full = root + path;
  struct stat info {};
  if (::lstat(full.c_str(), &info) != 0) return;
  std::string line =
      fmt::format("{:o} {}:{} links={} size={} dev={}:{} a={} m={}", info.st_mode, info.st_uid,
                  info.st_gid, info.st_nlink, S_ISDIR(info.st_mode) ? 0 : info.st_size,
                  major(info.st_rdev), minor(info.st_rdev), Time(info.st_atim), Time(info.st_mtim));
  line += Xattrs(full) + Content(full, info);
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    line += " same=" + inodes->emplace(info.st_ino, path).first->second;
  }
  (*snapshot)[path] = line;
  if (!S_ISDIR(info.st_mode)) return;
  for (const std::string& name : Names(full)) Visit(root, path + "/" + name, inodes, snapshot);
}

}  // namespace

TreeSnapshot SnapshotTree(const std::string& root) {
  TreeSnapshot snapshot;
  std::map<ino_t, std::string> inodes;
  Visit(root, "", &inodes, &snapshot);
  return snapshot;
}

std::vector<std::string> Differences(const TreeSnapshot& left, const TreeSnapshot& right) {
  std::vector<std::string> out;
  const auto line = [](const TreeSnapshot& tree, const std::string& path) {
    const auto found = tree.find(path);
    return found == tree.end() ? std::string("missing") : found->second;
  };
  TreeSnapshot all = left;
  all.insert(right.begin(), right.end());
  for (const auto& [path, ignored] : all) {
    if (line(left, path) == line(right, path)) continue;
    out.push_back(fmt::format("{}:\n  {}\n  {}", path, line(left, path), line(right, path)));
  }
  return out;
}

}  // namespace eagle::apply::testing
