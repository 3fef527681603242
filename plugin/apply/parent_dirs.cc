#include "plugin/apply/parent_dirs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

constexpr std::size_t kMostOpen = 256;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY;

absl::Status NotDirectory(std::string_view path) {
  return absl::FailedPreconditionError(
      fmt::format("{} must be a directory and is something else", Printable(path)));
}

}  // namespace

void ParentDirs::Forget() {
  known_.clear();
  last_dir_.reset();
  links_followed_ = false;
}

void ParentDirs::OnRemoved(mode_t type) {
  if (S_ISDIR(type) || S_ISLNK(type)) Forget();
}

void ParentDirs::OnLinkMade() {
  if (links_followed_) Forget();
}

absl::StatusOr<ParentDirs::DirPtr> ParentDirs::FindOrMake(std::string_view rooted) {
  return Lookup(rooted, true);
}

absl::StatusOr<ParentDirs::DirPtr> ParentDirs::Find(std::string_view rooted) {
  return Lookup(rooted, false);
}

absl::StatusOr<ParentDirs::DirPtr> ParentDirs::Lookup(std::string_view rooted, bool make) {
  if (last_dir_ != nullptr && last_ == rooted) return last_dir_;
  if (const auto known = known_.find(rooted); known != known_.end()) {
    last_ = rooted;
    last_dir_ = known->second;
    return last_dir_;
  }
  int error = 0;
  auto dir = std::make_shared<Dir>();
  dir->fd = root_.OpenPlain(rooted, kDirectoryFlags, &error);
  dir->path = rooted;
  bool linked = false;
  if (error == ELOOP) {
    EAGLE_ASSIGN_OR_RETURN(dir->path, root_.Resolve(rooted));
    linked = true;
    dir->fd = root_.OpenPlain(dir->path, kDirectoryFlags, &error);
  }
  if (error == ENOENT && make) {
    EAGLE_RETURN_IF_ERROR(Make(dir->path));
    dir->fd = root_.OpenPlain(dir->path, kDirectoryFlags, &error);
  }
  if (error == ENOTDIR) return NotDirectory(dir->path);
  if (error != 0) {
    return base::ErrnoError(error, fmt::format("open the directory {}", Printable(dir->path)));
  }
  if (known_.size() >= kMostOpen) Forget();
  links_followed_ = links_followed_ || linked;
  last_ = rooted;
  last_dir_ = dir;
  known_.emplace(rooted, std::move(dir));
  return last_dir_;
}

absl::Status ParentDirs::Make(std::string_view resolved) {
  if (resolved.size() >= PATH_MAX) {
    return base::ErrnoError(ENAMETOOLONG, fmt::format("mkdir {}", Printable(resolved)));
  }
  base::UniqueFd current(::fcntl(root_.fd(), F_DUPFD_CLOEXEC, 0));
  for (std::size_t start = 1; start < resolved.size();) {
    const std::size_t end = std::min(resolved.find('/', start), resolved.size());
    const std::string_view path = resolved.substr(0, end);
    const std::string name(resolved.substr(start, end - start));
    start = end + 1;
    base::UniqueFd next(
        ::openat(current.get(), name.c_str(), kDirectoryFlags | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid() && (errno == ENOTDIR || errno == ELOOP)) return NotDirectory(path);
    if (!next.valid() && errno == ENOENT) {
      constexpr mode_t kMode = 0755;
      if (::mkdirat(current.get(), name.c_str(), kMode) != 0) {
        return base::ErrnoError(errno, fmt::format("mkdir {}", Printable(path)));
      }
      next.Reset(::openat(current.get(), name.c_str(), kDirectoryFlags | O_NOFOLLOW | O_CLOEXEC));
      if (next.valid()) {
        if (::fchmod(next.get(), kMode) != 0) {
          return base::ErrnoError(errno, fmt::format("chmod {}", Printable(path)));
        }
        EAGLE_RETURN_IF_ERROR(lower_.CopyUp(path, next.get()));
      }
    }
    if (!next.valid()) return base::ErrnoError(errno, fmt::format("open {}", Printable(path)));
    current = std::move(next);
  }
  return absl::OkStatus();
}

}  // namespace eagle::apply
