#include "plugin/apply/tree_removal.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

absl::Status Failed(int error, std::string_view what, std::string_view name) {
  return base::ErrnoError(error, fmt::format("{} {}", what, Printable(name)));
}

absl::StatusOr<base::UniqueFd> OpenDirectory(int dir, const char* name) {
  base::UniqueFd fd(::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Failed(errno, "open", name);
  return fd;
}

// True when `name` is gone; false when it is a directory that is not empty.
absl::StatusOr<bool> RemoveOne(int dir, const std::string& name) {
  if (::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return true;
  const int error = errno;
  // POSIX lets unlink() of a directory fail with EPERM, as does an immutable file.
  if (error != EISDIR && error != EPERM) return Failed(error, "remove", name);
  if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
  if (errno == ENOTEMPTY || errno == EEXIST) return false;
  return Failed(errno == ENOTDIR ? error : errno, "remove", name);
}

// Where the walk is: an open directory, and the way down to it below where it began.
class Walk {
 public:
  Walk(int top, base::UniqueFd current, std::string name)
      : top_(top), current_(std::move(current)) {
    names_.push_back(std::move(name));
    ids_.push_back(Id());
  }

  [[nodiscard]] bool finished() const { return names_.empty(); }

  absl::Status Step() {
    EAGLE_ASSIGN_OR_RETURN(base::UniqueFd listed, OpenDirectory(current_.get(), "."));
    EAGLE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(std::move(listed)));
    for (const std::string& name : names) {
      EAGLE_ASSIGN_OR_RETURN(const bool removed, RemoveOne(current_.get(), name));
      if (removed) continue;
      EAGLE_ASSIGN_OR_RETURN(current_, OpenDirectory(current_.get(), name.c_str()));
      names_.push_back(name);
      ids_.push_back(Id());
      return absl::OkStatus();
    }
    return Up();
  }

 private:
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
  };

  [[nodiscard]] FileId Id() const {
    struct stat info {};
    ::fstat(current_.get(), &info);
    return {info.st_dev, info.st_ino};
  }

  absl::Status Up() {
    const std::string name = std::move(names_.back());
    names_.pop_back();
    ids_.pop_back();
    int parent = top_;
    if (!names_.empty()) {
      EAGLE_ASSIGN_OR_RETURN(current_, OpenDirectory(current_.get(), ".."));
      if (Id() != ids_.back()) return Failed(EBUSY, "remove: moved meanwhile:", name);
      parent = current_.get();
    }
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) return Failed(errno, "remove", name);
    return absl::OkStatus();
  }

  int top_;
  base::UniqueFd current_;
  std::vector<std::string> names_;
  std::vector<FileId> ids_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ListDirectory(base::UniqueFd dir) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(dir.get()), &::closedir);
  if (stream == nullptr) return base::ErrnoError(errno, "list a directory");
  (void)dir.Release();
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return base::ErrnoError(errno, "list a directory");
  return names;
}

absl::StatusOr<mode_t> RemoveTree(int dir, const std::string& name) {
  struct stat info {};
  if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return mode_t{0};
    return Failed(errno, "stat", name);
  }
  const mode_t type = info.st_mode & S_IFMT;
  EAGLE_ASSIGN_OR_RETURN(const bool removed, RemoveOne(dir, name));
  if (removed) return type;
  EAGLE_ASSIGN_OR_RETURN(base::UniqueFd fd, OpenDirectory(dir, name.c_str()));
  Walk walk(dir, std::move(fd), name);
  while (!walk.finished()) EAGLE_RETURN_IF_ERROR(walk.Step());
  return type;
}

}  // namespace eagle::apply
