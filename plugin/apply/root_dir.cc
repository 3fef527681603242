#include "plugin/apply/root_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "lib/base/file.h"
#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

constexpr int kMaxLinks = 255;

int OpenAt2(int fd, const std::string& path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve;
  long result;
  do {
    // EAGAIN: something else on the host was renamed meanwhile, so that ".." was not certain.
    result = ::syscall(SYS_openat2, fd, path.c_str(), &how, sizeof how);
  } while (result < 0 && (errno == EINTR || errno == EAGAIN));
  return static_cast<int>(result);
}

std::string Relative(std::string_view rooted) {
  return rooted.size() <= 1 ? "." : std::string(rooted.substr(1));
}

}  // namespace

absl::StatusOr<RootDir> RootDir::Open(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(base::UniqueFd fd, base::OpenFile(path, O_RDONLY | O_DIRECTORY));
  return RootDir(std::move(fd));
}

absl::Status RootDir::CheckKernel() {
  const base::UniqueFd fd(OpenAt2(AT_FDCWD, "/", O_PATH, RESOLVE_NO_MAGICLINKS));
  if (fd.valid()) return absl::OkStatus();
  return absl::UnimplementedError(
      fmt::format("openat2: {}; unpacking needs Linux 5.6 and a seccomp profile that allows it",
                  base::Message(base::ErrnoError(errno, "probe"))));
}

base::UniqueFd RootDir::OpenPlain(std::string_view rooted, int flags, int* error) const {
  constexpr std::uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  base::UniqueFd fd(OpenAt2(fd_.get(), Relative(rooted), flags, kResolve));
  *error = fd.valid() ? 0 : errno;
  return fd;
}

absl::StatusOr<std::optional<std::string>> RootDir::ReadLink(const std::string& rooted) const {
  // In the middle of Resolve() a path may have links on the way. The kernel follows them as lstat()
  // would in containerd, except those that leave the root: behind them there is nothing.
  const base::UniqueFd fd(OpenAt2(fd_.get(), Relative(rooted), O_PATH | O_NOFOLLOW,
                                  RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == EXDEV) return std::nullopt;
    return base::ErrnoError(errno, fmt::format("look up {}", Printable(rooted)));
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return base::ErrnoError(errno, "fstat");
  if (!S_ISLNK(info.st_mode)) return std::nullopt;
  std::array<char, PATH_MAX> target;
  const ssize_t size = ::readlinkat(fd.get(), "", target.data(), target.size());
  if (size < 0) return base::ErrnoError(errno, fmt::format("readlink {}", Printable(rooted)));
  return std::string(target.data(), static_cast<std::size_t>(size));
}

absl::StatusOr<std::string> RootDir::Step(std::string_view path, int* links) const {
  if (*links > kMaxLinks) {
    return absl::InvalidArgumentError(
        fmt::format("{} leads through more than {} links", Printable(path), kMaxLinks));
  }
  std::string rooted = RootedPath(path);
  if (rooted == "/") return rooted;
  EAGLE_ASSIGN_OR_RETURN(std::optional<std::string> target, ReadLink(rooted));
  if (!target.has_value()) return rooted;
  ++*links;
  return *std::move(target);
}

absl::StatusOr<std::string> RootDir::Walk(std::string_view path, int* links) const {
  std::string walked = path.starts_with('/') ? "/" : "";
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string element(path.substr(0, slash));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (element.empty()) continue;
    const bool first = walked.empty();
    const int before = *links;
    EAGLE_ASSIGN_OR_RETURN(std::string step,
                           Step(first ? element : JoinPath(walked, element), links));
    const bool is_link = *links != before;
    walked = is_link && !first && !step.starts_with('/') ? JoinPath(walked, step) : std::move(step);
  }
  return walked;
}

absl::StatusOr<std::string> RootDir::Resolve(std::string_view path) const {
  std::string current(path);
  int links = 0;
  while (true) {
    const int before = links;
    EAGLE_ASSIGN_OR_RETURN(std::string walked, Walk(current, &links));
    std::string rooted = RootedPath(walked);
    if (links == before && rooted == walked) return rooted;
    current = links == before ? std::move(rooted) : std::move(walked);
  }
}

}  // namespace eagle::apply
