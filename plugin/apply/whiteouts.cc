#include "plugin/apply/whiteouts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "plugin/apply/lexical_path.h"
#include "plugin/apply/tree_removal.h"

namespace eagle::apply {
namespace {

absl::Status MarkOpaque(int dir) {
  if (::fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) == 0) return absl::OkStatus();
  return base::ErrnoError(errno, "setxattr trusted.overlay.opaque");
}

absl::Status MakeOverlayWhiteout(int dir, const std::string& name, const TarEntry& entry) {
  if (::mknodat(dir, name.c_str(), S_IFCHR, 0) != 0) {
    return base::ErrnoError(errno, fmt::format("mknod {}", Printable(name)));
  }
  if (::fchownat(dir, name.c_str(), static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
                 AT_SYMLINK_NOFOLLOW) != 0) {
    return base::ErrnoError(errno, fmt::format("chown {}", Printable(name)));
  }
  return absl::OkStatus();
}

std::string Child(std::string_view dir, std::string_view name) {
  return fmt::format("{}/{}", dir == "/" ? "" : dir, name);
}

}  // namespace

absl::Status Whiteouts::Apply(const ParentDirs::Dir& dir, std::string_view base,
                              const TarEntry& entry) {
  if (base == kOpaque) {
    if (format_ == WhiteoutFormat::kOverlay) return MarkOpaque(dir.fd.get());
    return opaque_.insert(dir.path).second ? RemoveOlder(dir.path) : absl::OkStatus();
  }
  const std::string name(base.substr(kPrefix.size()));
  if (name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError("the whiteout names nothing inside of its directory");
  }
  if (format_ == WhiteoutFormat::kOverlay) return MakeOverlayWhiteout(dir.fd.get(), name, entry);
  return Remove(dir, name);
}

void Whiteouts::OnUnpacked(const ParentDirs::Dir& dir, std::string_view base) {
  if (format_ == WhiteoutFormat::kRemove) unpacked_.insert(Child(dir.path, base));
}

absl::Status Whiteouts::Remove(const ParentDirs::Dir& dir, const std::string& name) {
  EAGLE_ASSIGN_OR_RETURN(const mode_t removed, RemoveTree(dir.fd.get(), name));
  parents_.OnRemoved(removed);
  return absl::OkStatus();
}

// Goes down only into directories that this layer has unpacked itself.
absl::Status Whiteouts::RemoveOlder(const std::string& path) {
  std::vector<std::string> pending{path};
  while (!pending.empty()) {
    ParentDirs::Dir dir{{}, std::move(pending.back())};
    pending.pop_back();
    int error = 0;
    dir.fd = root_.OpenPlain(dir.path, O_RDONLY | O_DIRECTORY, &error);
    if (error == ENOTDIR || error == ELOOP) continue;
    if (error != 0) return base::ErrnoError(error, fmt::format("open {}", Printable(dir.path)));
    base::UniqueFd listed = root_.OpenPlain(dir.path, O_RDONLY | O_DIRECTORY, &error);
    EAGLE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(std::move(listed)));
    for (const std::string& name : names) {
      std::string child = Child(dir.path, name);
      if (unpacked_.contains(child)) {
        pending.push_back(std::move(child));
      } else {
        EAGLE_RETURN_IF_ERROR(Remove(dir, name));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace eagle::apply
