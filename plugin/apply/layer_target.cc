#include "plugin/apply/layer_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string_view>
#include <utility>

#include "lib/base/file.h"
#include "plugin/apply/lexical_path.h"
#include "plugin/apply/loop_device.h"

namespace eagle::apply {
namespace {

constexpr std::string_view kUpperDir = "upperdir=";
constexpr std::string_view kLowerDir = "lowerdir=";

absl::Status CheckAbsolute(std::string_view path, std::string_view what) {
  if (path.starts_with('/')) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} \"{}\" of the overlay must be an absolute path", what, Printable(path)));
}

std::vector<std::string> SplitAtColon(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t colon = text.find(':');
    parts.emplace_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

absl::Status ReadOverlay(const Mount& overlay, TargetPlan* plan) {
  for (const std::string_view option : overlay.options) {
    if (option.starts_with(kUpperDir)) {
      plan->upper_dir = option.substr(kUpperDir.size());
    } else if (option.starts_with(kLowerDir)) {
      plan->lower_dirs = SplitAtColon(option.substr(kLowerDir.size()));
    }
  }
  if (plan->upper_dir.empty()) {
    return absl::InvalidArgumentError("an overlay without upperdir is read-only");
  }
  EAGLE_RETURN_IF_ERROR(CheckAbsolute(plan->upper_dir, "upperdir"));
  for (const std::string& lower : plan->lower_dirs) {
    EAGLE_RETURN_IF_ERROR(CheckAbsolute(lower, "lowerdir"));
  }
  return absl::OkStatus();
}

absl::Status SyncFileSystem(int fd) {
  return ::syncfs(fd) == 0 ? absl::OkStatus() : base::ErrnoError(errno, "syncfs");
}

}  // namespace

bool InUserNamespace() {
  const auto map = base::ReadFile("/proc/self/uid_map");
  if (!map.ok()) return false;
  std::istringstream fields(*map);
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  constexpr std::uint64_t kAll = 4294967295;
  fields >> inside >> outside >> count;
  return !(inside == 0 && outside == 0 && count == kAll);
}

absl::StatusOr<TargetPlan> PlanTarget(std::vector<Mount> mounts, bool in_user_namespace) {
  if (mounts.empty()) return absl::InvalidArgumentError("the request has no mounts");
  TargetPlan plan;
  plan.in_user_namespace = in_user_namespace;
  const bool overlay = mounts.size() == 1 && mounts[0].type == "overlay";
  if (overlay) {
    EAGLE_RETURN_IF_ERROR(ReadOverlay(mounts[0], &plan));
    if (!in_user_namespace) return plan;
    plan.upper_dir.clear();
  }
  for (const Mount& mount : mounts) {
    EAGLE_ASSIGN_OR_RETURN(MountArguments arguments, ParseMount(mount));
    plan.arguments.push_back(std::move(arguments));
  }
  if ((plan.arguments.back().flags & MS_RDONLY) != 0) {
    return absl::InvalidArgumentError("the mount is read-only; a layer needs one to write to");
  }
  plan.mounts = std::move(mounts);
  return plan;
}

absl::StatusOr<std::unique_ptr<LayerTarget>> LayerTarget::Open(TargetPlan plan,
                                                               const std::string& mount_point) {
  std::unique_ptr<LayerTarget> target(new LayerTarget(std::move(plan), mount_point));
  std::string root = target->plan_.upper_dir;
  if (target->plan_.needs_mount()) {
    EAGLE_RETURN_IF_ERROR(target->MountAll());
    root = mount_point;
  }
  EAGLE_ASSIGN_OR_RETURN(RootDir opened, RootDir::Open(root));
  target->root_ = std::make_unique<RootDir>(std::move(opened));
  return target;
}

LayerTarget::~LayerTarget() {
  (void)Close();
}

absl::Status LayerTarget::MountAll() {
  for (std::size_t i = 0; i < plan_.mounts.size(); ++i) {
    const Mount& mount = plan_.mounts[i];
    const MountArguments& arguments = plan_.arguments[i];
    std::string source = mount.source;
    LoopDevice device;
    if (arguments.loop) {
      EAGLE_ASSIGN_OR_RETURN(device, AttachLoopDevice(mount.source));
      source = device.path;
    }
    if (::mount(source.c_str(), mount_point_.c_str(), mount.type.c_str(), arguments.flags,
                arguments.data.c_str()) != 0) {
      return base::ErrnoError(
          errno, fmt::format("mount {} of type {} on {}", mount.source, mount.type, mount_point_));
    }
    ++mounted_;
  }
  return absl::OkStatus();
}

ExtractOptions LayerTarget::extract_options() const {
  ExtractOptions options;
  options.whiteouts = plan_.needs_mount() ? WhiteoutFormat::kRemove : WhiteoutFormat::kOverlay;
  options.lower_dirs = plan_.lower_dirs;
  options.in_user_namespace = plan_.in_user_namespace;
  return options;
}

absl::Status LayerTarget::Sync() {
  if (!plan_.needs_mount()) return SyncFileSystem(root_->fd());
  if (plan_.mounts.size() != 1 || plan_.mounts[0].type != "bind") return absl::OkStatus();
  EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd source,
                         base::OpenFile(plan_.mounts[0].source, O_RDONLY));
  return SyncFileSystem(source.get());
}

absl::Status LayerTarget::Close() {
  root_.reset();
  absl::Status status;
  for (; mounted_ > 0; --mounted_) {
    if (::umount2(mount_point_.c_str(), UMOUNT_NOFOLLOW) == 0) continue;
    if (errno == EBUSY && ::umount2(mount_point_.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) {
      continue;
    }
    status.Update(base::ErrnoError(errno, fmt::format("unmount {}", mount_point_)));
  }
  return status;
}

}  // namespace eagle::apply
