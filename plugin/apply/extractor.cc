#include "plugin/apply/extractor.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

bool IsDevice(const TarEntry& entry) {
  return entry.type == kTypeCharDevice || entry.type == kTypeBlockDevice;
}

bool HasNul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

}  // namespace

Extractor::Extractor(const RootDir& root, ExtractOptions options, const Cancellation& cancellation)
    : root_(root),
      options_(std::move(options)),
      cancellation_(cancellation),
      lower_(options_.lower_dirs),
      parents_(root_, lower_),
      whiteouts_(options_.whiteouts, root_, parents_),
      writer_(root_, parents_, finisher_, cancellation_) {}

ExtractReport Extractor::report() const {
  ExtractReport report = report_;
  report.ignored_xattrs = writer_.ignored_xattrs();
  return report;
}

absl::Status Extractor::Extract(TarReader& tar) {
  const absl::Status extracted = ExtractEntries(tar);
  // After an error too: what the archive has before it is there whole, as with containerd.
  finisher_.Flush();
  EAGLE_RETURN_IF_ERROR(finisher_.status());
  EAGLE_RETURN_IF_ERROR(extracted);
  // At the end, since every file that is made in a directory changes its times.
  for (const DirectoryTimes& directory : directories_) {
    EAGLE_RETURN_IF_ERROR(cancellation_.Check());
    if (absl::Status status = SetDirectoryTimes(directory); !status.ok()) {
      return base::Annotate(status, fmt::format("times of \"{}\"", Printable(directory.path)));
    }
  }
  return absl::OkStatus();
}

absl::Status Extractor::ExtractEntries(TarReader& tar) {
  while (true) {
    EAGLE_RETURN_IF_ERROR(cancellation_.Check());
    EAGLE_ASSIGN_OR_RETURN(const TarEntry* entry, tar.Next());
    if (entry == nullptr) return absl::OkStatus();
    if (++report_.entries > options_.max_entries) {
      return absl::ResourceExhaustedError(fmt::format(
          "the layer has more than {} entries, the limit of this node", options_.max_entries));
    }
    if (absl::Status status = ExtractEntry(*entry, tar); !status.ok()) {
      return base::Annotate(status, fmt::format("unpack \"{}\"", Printable(entry->name)));
    }
    EAGLE_RETURN_IF_ERROR(finisher_.status());
  }
}

absl::Status Extractor::ExtractEntry(const TarEntry& entry, TarReader& tar) {
  if (HasNul(entry.name) || HasNul(entry.link_name)) {
    return absl::InvalidArgumentError("a name with a NUL is no name");
  }
  if (options_.in_user_namespace && IsDevice(entry)) {
    ++report_.skipped_devices;
    return absl::OkStatus();
  }
  const std::string path = RootedPath(entry.name);
  if (path == "/") return absl::OkStatus();
  const SplitResult split = SplitPath(path);
  EAGLE_ASSIGN_OR_RETURN(const ParentDirs::DirPtr parent, parents_.FindOrMake(split.parent));
  if (Whiteouts::IsWhiteout(split.base)) return whiteouts_.Apply(*parent, split.base, entry);
  const std::string base(split.base);
  EAGLE_RETURN_IF_ERROR(writer_.Write(*parent, base, entry, tar));
  whiteouts_.OnUnpacked(*parent, base);
  if (entry.type == kTypeDirectory) directories_.push_back({path, TimesOnDisk(entry)});
  return absl::OkStatus();
}

absl::Status Extractor::SetDirectoryTimes(const DirectoryTimes& directory) {
  int error = 0;
  const base::UniqueFd fd = root_.OpenPlain(directory.path, O_RDONLY | O_DIRECTORY, &error);
  if (error == 0) {
    if (::futimens(fd.get(), directory.times.data()) == 0) return absl::OkStatus();
    return base::ErrnoError(errno, "utimens");
  }
  // A later entry has put something else there.
  EAGLE_ASSIGN_OR_RETURN(const std::string path, root_.Resolve(directory.path));
  if (path == "/") {
    if (::futimens(root_.fd(), directory.times.data()) == 0) return absl::OkStatus();
    return base::ErrnoError(errno, "utimens");
  }
  const SplitResult split = SplitPath(path);
  const base::UniqueFd parent = root_.OpenPlain(split.parent, O_RDONLY | O_DIRECTORY, &error);
  if (error != 0) return base::ErrnoError(error, "open its parent");
  if (::utimensat(parent.get(), std::string(split.base).c_str(), directory.times.data(),
                  AT_SYMLINK_NOFOLLOW) != 0) {
    return base::ErrnoError(errno, "utimens");
  }
  return absl::OkStatus();
}

}  // namespace eagle::apply
