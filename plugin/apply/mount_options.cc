#include "plugin/apply/mount_options.h"

#include <fmt/format.h>
#include <sys/mount.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

struct Flag {
  std::string_view option;
  unsigned long bits;
  bool clear = false;
};

constexpr Flag kFlags[] = {
    {"async", MS_SYNCHRONOUS, true},
    {"atime", MS_NOATIME, true},
    {"bind", MS_BIND},
    {"dev", MS_NODEV, true},
    {"diratime", MS_NODIRATIME, true},
    {"dirsync", MS_DIRSYNC},
    {"exec", MS_NOEXEC, true},
    {"mand", MS_MANDLOCK},
    {"noatime", MS_NOATIME},
    {"nodev", MS_NODEV},
    {"nodiratime", MS_NODIRATIME},
    {"noexec", MS_NOEXEC},
    {"nomand", MS_MANDLOCK, true},
    {"norelatime", MS_RELATIME, true},
    {"nostrictatime", MS_STRICTATIME, true},
    {"nosuid", MS_NOSUID},
    {"rbind", MS_BIND | MS_REC},
    {"relatime", MS_RELATIME},
    {"remount", MS_REMOUNT},
    {"ro", MS_RDONLY},
    {"rw", MS_RDONLY, true},
    {"strictatime", MS_STRICTATIME},
    {"suid", MS_NOSUID, true},
    {"sync", MS_SYNCHRONOUS},
};

absl::Status NotHere(std::string_view what) {
  return absl::UnimplementedError(fmt::format("{} is left to the next applier", Printable(what)));
}

bool IsForOthers(std::string_view option) {
  return option.starts_with("uidmap=") || option.starts_with("gidmap=") ||
         option.starts_with("X-containerd.");
}

}  // namespace

absl::StatusOr<MountArguments> ParseMount(const Mount& mount) {
  const std::string_view type = mount.type;
  if (type.empty() || type.starts_with("fuse.") || type.starts_with("fuse3.") ||
      type.find('/') != std::string_view::npos) {
    return NotHere(fmt::format("mount type \"{}\"", type));
  }
  if (!mount.target.empty() && mount.target != "/") return NotHere("a mount below the root");
  MountArguments arguments;
  for (const std::string& option : mount.options) {
    if (IsForOthers(option)) return NotHere(fmt::format("mount option \"{}\"", option));
    if (option == "loop") {
      arguments.loop = true;
      continue;
    }
    if (type == "overlay" && (option == "volatile" || option == "fsync=volatile")) continue;
    const auto* flag = std::find_if(std::begin(kFlags), std::end(kFlags),
                                    [&](const Flag& f) { return f.option == option; });
    if (flag == std::end(kFlags)) {
      if (!arguments.data.empty()) arguments.data += ',';
      arguments.data += option;
    } else if (flag->clear) {
      arguments.flags &= ~flag->bits;
    } else {
      arguments.flags |= flag->bits;
    }
  }
  constexpr std::size_t kPageBytes = 4096;
  if (arguments.data.size() >= kPageBytes)
    return NotHere("a mount with more than a page of options");
  return arguments;
}

}  // namespace eagle::apply
