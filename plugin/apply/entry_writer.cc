#include "plugin/apply/entry_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string_view>

#include "lib/base/file.h"
#include "plugin/apply/lexical_path.h"
#include "plugin/apply/tree_removal.h"

namespace eagle::apply {
namespace {

constexpr mode_t kModeBits = 07777;
constexpr int kNoFile = -1;
// Larger ones keep the disk busy by themselves, and need not be in memory whole.
constexpr std::int64_t kMostFinishedApart = std::int64_t{64} << 10;

mode_t Permissions(const TarEntry& entry) {
  return static_cast<mode_t>(entry.mode) & kModeBits;
}

// Go counts seconds from the year 1 and wraps around: times at the ends of the range come out on
// the other side, which decides which of two is later.
std::int64_t GoSeconds(const TarTime& time) {
  constexpr std::uint64_t kUnixToYearOne = 62135596800;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.seconds) + kUnixToYearOne);
}

bool Before(const TarTime& a, const TarTime& b) {
  const std::int64_t left = GoSeconds(a);
  const std::int64_t right = GoSeconds(b);
  return left != right ? left < right : a.nanoseconds < b.nanoseconds;
}

timespec Bounded(const TarTime& time) {
  constexpr std::int64_t kBillion = 1'000'000'000;
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr TarTime kLast{kMost / kBillion, static_cast<std::int32_t>(kMost % kBillion)};
  if (Before(time, TarTime{}) || Before(kLast, time)) return {0, 0};
  return {time.seconds, time.nanoseconds};
}

absl::Status Failed(std::string_view call) {
  return base::ErrnoError(errno, call);
}

}  // namespace

std::array<timespec, 2> TimesOnDisk(const TarEntry& entry) {
  const bool later = entry.atime && !Before(*entry.atime, entry.mtime);
  return {Bounded(later ? *entry.atime : entry.mtime), Bounded(entry.mtime)};
}

absl::Status EntryWriter::RemoveExisting(const Place& place) {
  EAGLE_ASSIGN_OR_RETURN(const mode_t removed, RemoveTree(place.dir, place.base));
  parents_.OnRemoved(removed);
  return absl::OkStatus();
}

// The name is nearly always free, so it is tried before anything is looked up.
template <typename Make>
absl::StatusOr<int> EntryWriter::Replacing(const Place& place, std::string_view what, Make make) {
  int result = make();
  if (result < 0 && errno == EEXIST) {
    EAGLE_RETURN_IF_ERROR(RemoveExisting(place));
    result = make();
  }
  if (result < 0) return Failed(what);
  return result;
}

absl::Status EntryWriter::Write(const ParentDirs::Dir& dir, const std::string& base,
                                const TarEntry& entry, TarReader& tar) {
  const Place place{dir.fd.get(), base};
  switch (entry.type) {
    case kTypeFile:
      return WriteFile(place, entry, tar);
    case kTypeDirectory:
      return MakeDirectory(place, entry);
    case kTypeSymlink:
      return MakeSymlink(place, entry);
    case kTypeHardLink:
      return MakeHardLink(place, entry);
    case kTypeCharDevice:
    case kTypeBlockDevice:
    case kTypeFifo:
      return MakeNode(place, entry);
    case kTypeGlobalHeader:
      // containerd makes nothing of it, but has removed what bears its name.
      return RemoveExisting(place);
    default:
      return absl::InvalidArgumentError(
          fmt::format("entries of type {} have no place in a layer", static_cast<int>(entry.type)));
  }
}

absl::Status EntryWriter::CopyData(int fd, const TarEntry& entry, TarReader& tar) {
  std::int64_t end = 0;
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(const TarReader::Piece piece, tar.Read());
    if (piece.data.empty()) break;
    EAGLE_RETURN_IF_ERROR(cancellation_.Check());
    EAGLE_RETURN_IF_ERROR(base::WriteAllAt(fd, piece.data, piece.offset));
    end = piece.offset + static_cast<std::int64_t>(piece.data.size());
  }
  // A hole at the end of a sparse file.
  if (end < entry.size && ::ftruncate(fd, entry.size) != 0) return Failed("ftruncate");
  return absl::OkStatus();
}

absl::StatusOr<std::string> EntryWriter::SmallContent(const TarEntry& entry, TarReader& tar) {
  std::string data;
  data.reserve(static_cast<std::size_t>(entry.size));
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(const TarReader::Piece piece, tar.Read());
    if (piece.data.empty()) break;
    // Before a piece of a sparse file there may be a hole.
    data.resize(static_cast<std::size_t>(piece.offset));
    data.append(piece.data);
  }
  data.resize(static_cast<std::size_t>(entry.size));
  return data;
}

absl::Status EntryWriter::WriteFile(const Place& place, const TarEntry& entry, TarReader& tar) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  EAGLE_ASSIGN_OR_RETURN(const int made, Replacing(place, "open", [&] {
                           return ::openat(place.dir, place.base.c_str(), kFlags,
                                           Permissions(entry));
                         }));
  base::UniqueFd fd(made);
  const FileAttributes attributes{static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
                                  Permissions(entry), TimesOnDisk(entry)};
  if (entry.size <= kMostFinishedApart && entry.xattrs.empty()) {
    EAGLE_ASSIGN_OR_RETURN(std::string data, SmallContent(entry, tar));
    finisher_.Add({std::move(fd), std::move(data), attributes, entry.name});
    return absl::OkStatus();
  }
  EAGLE_RETURN_IF_ERROR(CopyData(fd.get(), entry, tar));
  EAGLE_RETURN_IF_ERROR(SetOwner(fd.get(), attributes));
  EAGLE_RETURN_IF_ERROR(SetXattrs(place, fd.get(), entry, S_IFREG));
  return SetPermissionsAndTimes(fd.get(), attributes);
}

absl::Status EntryWriter::MakeDirectory(const Place& place, const TarEntry& entry) {
  if (::mkdirat(place.dir, place.base.c_str(), Permissions(entry)) != 0) {
    if (errno != EEXIST) return Failed("mkdir");
    struct stat info {};
    if (::fstatat(place.dir, place.base.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Failed("stat");
    }
    if (!S_ISDIR(info.st_mode)) {
      EAGLE_RETURN_IF_ERROR(RemoveExisting(place));
      if (::mkdirat(place.dir, place.base.c_str(), Permissions(entry)) != 0) return Failed("mkdir");
    }
  }
  return SetMetadata(place, entry, S_IFDIR);
}

absl::Status EntryWriter::MakeNode(const Place& place, const TarEntry& entry) {
  mode_t type = S_IFIFO;
  if (entry.type == kTypeCharDevice) type = S_IFCHR;
  if (entry.type == kTypeBlockDevice) type = S_IFBLK;
  const dev_t device = makedev(static_cast<std::uint32_t>(entry.device_major),
                               static_cast<std::uint32_t>(entry.device_minor));
  EAGLE_RETURN_IF_ERROR(Replacing(place, "mknod", [&] {
                          return ::mknodat(place.dir, place.base.c_str(), type | Permissions(entry),
                                           device);
                        }).status());
  return SetMetadata(place, entry, type);
}

absl::Status EntryWriter::MakeSymlink(const Place& place, const TarEntry& entry) {
  EAGLE_RETURN_IF_ERROR(Replacing(place, "symlink", [&] {
                          return ::symlinkat(entry.link_name.c_str(), place.dir,
                                             place.base.c_str());
                        }).status());
  parents_.OnLinkMade();
  return SetMetadata(place, entry, S_IFLNK);
}

// `*error` is that of link(2); the status is about finding the target.
absl::Status EntryWriter::TryHardLink(const Place& place, const TarEntry& entry, int* error) {
  const std::string_view name = entry.link_name;
  const std::size_t slash = name.rfind('/');
  const std::size_t split = slash == std::string_view::npos ? 0 : slash + 1;
  std::string_view base = name.substr(split);
  std::string parent = RootedPath(name.substr(0, split));
  std::string target;
  // Unlike an entry's own name, the target is not cleaned first: ".." may come after a link.
  if (base.empty() || base == "." || name.find("..") != std::string_view::npos) {
    EAGLE_ASSIGN_OR_RETURN(parent, root_.Resolve(name.substr(0, split)));
    target = JoinPath(parent, base);
    parent = SplitPath(target).parent;
    base = SplitPath(target).base;
  }
  if (base.empty()) {
    *error = EPERM;
    return absl::OkStatus();
  }
  EAGLE_ASSIGN_OR_RETURN(const ParentDirs::DirPtr dir, parents_.Find(parent));
  *error = 0;
  if (::linkat(dir->fd.get(), std::string(base).c_str(), place.dir, place.base.c_str(), 0) != 0) {
    *error = errno;
  }
  return absl::OkStatus();
}

absl::Status EntryWriter::MakeHardLink(const Place& place, const TarEntry& entry) {
  // The link's attributes become those of the file, which has to have its own by then.
  finisher_.Flush();
  int error = 0;
  absl::Status found = TryHardLink(place, entry, &error);
  if (!found.ok() || error != 0) {
    // What is removed may be in the way of the target, too, or the way to it.
    EAGLE_RETURN_IF_ERROR(RemoveExisting(place));
    found = TryHardLink(place, entry, &error);
  }
  if (found.ok() && error != 0) found = base::ErrnoError(error, "link");
  if (!found.ok()) {
    return base::Annotate(found, fmt::format("hard link to \"{}\"", Printable(entry.link_name)));
  }
  struct stat info {};
  if (::fstatat(place.dir, place.base.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed("stat");
  }
  if (S_ISLNK(info.st_mode)) parents_.OnLinkMade();
  return SetMetadata(place, entry, info.st_mode & S_IFMT);
}

// Owner first: changing it drops file capabilities and the set-id bits.
absl::Status EntryWriter::SetMetadata(const Place& place, const TarEntry& entry, mode_t type) {
  const char* base = place.base.c_str();
  if (::fchownat(place.dir, base, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
                 AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed("chown");
  }
  EAGLE_RETURN_IF_ERROR(SetXattrs(place, kNoFile, entry, type));
  if (!S_ISLNK(type) && ::fchmodat(place.dir, base, Permissions(entry), 0) != 0) {
    return Failed("chmod");
  }
  if (::utimensat(place.dir, base, TimesOnDisk(entry).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed("utimens");
  }
  return absl::OkStatus();
}

// By the file's descriptor when there is one, else by a path whose last element is not followed.
absl::Status EntryWriter::SetXattrs(const Place& place, int file, const TarEntry& entry,
                                    mode_t type) {
  if (entry.xattrs.empty()) return absl::OkStatus();
  const std::string path = fmt::format("/proc/self/fd/{}/{}", place.dir, place.base);
  for (const auto& [name, value] : entry.xattrs) {
    if (name.starts_with("trusted.")) {
      ++ignored_xattrs_;
      continue;
    }
    const int result = file >= 0
                           ? ::fsetxattr(file, name.c_str(), value.data(), value.size(), 0)
                           : ::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0);
    if (result == 0) continue;
    const bool may_have_user_xattrs = S_ISREG(type) || S_ISDIR(type);
    if (errno == ENOTSUP ||
        (errno == EPERM && name.starts_with("user.") && !may_have_user_xattrs)) {
      ++ignored_xattrs_;
      continue;
    }
    return Failed(fmt::format("setxattr {}", Printable(name)));
  }
  return absl::OkStatus();
}

}  // namespace eagle::apply
