#include "plugin/apply/lower_dirs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <climits>

#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

absl::Status CopyInfo(const struct stat& from, int to) {
  if (::fchown(to, from.st_uid, from.st_gid) != 0) return base::ErrnoError(errno, "chown");
  if (::fchmod(to, from.st_mode & 07777) != 0) return base::ErrnoError(errno, "chmod");
  const std::array<timespec, 2> times{from.st_atim, from.st_mtim};
  if (::futimens(to, times.data()) != 0) return base::ErrnoError(errno, "utimens");
  return absl::OkStatus();
}

absl::Status CopyXattr(int from, int to, const char* name, std::string* value) {
  value->resize(XATTR_SIZE_MAX);
  const ssize_t size = ::fgetxattr(from, name, value->data(), value->size());
  if (size < 0) {
    if (errno == ENOTSUP || errno == ENODATA) return absl::OkStatus();
    return base::ErrnoError(errno, fmt::format("getxattr {}", name));
  }
  const int result =
      ::fsetxattr(to, name, value->data(), static_cast<std::size_t>(size), XATTR_CREATE);
  if (result == 0 || errno == ENOTSUP || errno == ENODATA || errno == EEXIST) {
    return absl::OkStatus();
  }
  return base::ErrnoError(errno, fmt::format("setxattr {}", name));
}

absl::Status CopyXattrs(int from, int to) {
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t size = ::flistxattr(from, names.data(), names.size());
  if (size < 0) {
    if (errno == ENOTSUP || errno == ENODATA) return absl::OkStatus();
    return base::ErrnoError(errno, "listxattr");
  }
  names.resize(static_cast<std::size_t>(size));
  std::string value;
  for (std::size_t at = 0; at < names.size();) {
    const std::string_view name(names.c_str() + at);
    at += name.size() + 1;
    if (name.starts_with("trusted.")) continue;
    EAGLE_RETURN_IF_ERROR(CopyXattr(from, to, name.data(), &value));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<const RootDir*> LowerDirs::Layer(const std::string& path) {
  const auto known = open_.find(path);
  if (known != open_.end()) return &known->second;
  auto layer = RootDir::Open(path);
  if (absl::IsNotFound(layer.status())) return nullptr;
  if (!layer.ok()) return layer.status();
  return &open_.emplace(path, *std::move(layer)).first->second;
}

absl::Status LowerDirs::CopyUp(std::string_view rooted, int directory) {
  for (const std::string& path : paths_) {
    EAGLE_ASSIGN_OR_RETURN(const RootDir* layer, Layer(path));
    if (layer == nullptr) continue;
    // Only a path with links in it, which is rare, has to be resolved step by step.
    std::string resolved(rooted);
    int error = 0;
    base::UniqueFd found = layer->OpenPlain(resolved, O_RDONLY | O_DIRECTORY, &error);
    if (error == ELOOP) {
      EAGLE_ASSIGN_OR_RETURN(resolved, layer->Resolve(rooted));
      found = layer->OpenPlain(resolved, O_RDONLY | O_DIRECTORY, &error);
    }
    if (error == ENOENT) continue;
    if (error == ENOTDIR) {
      // The layer has something else here, or, which is an error, on the way here.
      const base::UniqueFd replaced = layer->OpenPlain(resolved, O_PATH | O_NOFOLLOW, &error);
      if (replaced.valid()) return absl::OkStatus();
    }
    struct stat info {};
    if (error == 0 && ::fstat(found.get(), &info) != 0) error = errno;
    absl::Status status =
        error == 0 ? CopyInfo(info, directory) : base::ErrnoError(error, "look up");
    if (status.ok()) status = CopyXattrs(found.get(), directory);
    return base::Annotate(status,
                          fmt::format("copy {} up from the layer {}", Printable(rooted), path));
  }
  return absl::OkStatus();
}

}  // namespace eagle::apply
