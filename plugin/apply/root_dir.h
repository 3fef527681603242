#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace eagle::apply {

/// A directory tree seen as from a chroot into it: nothing that is done through this class leaves
/// it, whatever the links in it say (openat2(2), so Linux 5.6). Thread-safe as the descriptor is.
class RootDir {
 public:
  /// `fd` must be open for reading.
  explicit RootDir(base::UniqueFd fd) : fd_(std::move(fd)) {}

  /// Follows links on the way to `path`; an error when it is no directory.
  static absl::StatusOr<RootDir> Open(const std::string& path);

  /// OK where the kernel has openat2(2); UNIMPLEMENTED elsewhere.
  static absl::Status CheckKernel();

  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Where `path` leads once every link in it is followed, the last element's too: a rooted, clean
  /// path without links. As continuity's fs.RootPath, by which containerd's applier goes: elements
  /// that are missing count as plain, ".." after a link is lexical, 255 links are too many.
  [[nodiscard]] absl::StatusOr<std::string> Resolve(std::string_view path) const;

  /// Opens a rooted path that must not have a link in it; `error` is that of openat2(2) (ELOOP: a
  /// link, ENOENT, ENOTDIR) and 0 on success.
  [[nodiscard]] base::UniqueFd OpenPlain(std::string_view rooted, int flags, int* error) const;

 private:
  // The target of the link there; none when it is no link, or nothing.
  absl::StatusOr<std::optional<std::string>> ReadLink(const std::string& rooted) const;
  // One element of a walk: what the link there says, or where it is; `*links` counts links.
  absl::StatusOr<std::string> Step(std::string_view path, int* links) const;
  absl::StatusOr<std::string> Walk(std::string_view path, int* links) const;

  base::UniqueFd fd_;
};

}  // namespace eagle::apply
