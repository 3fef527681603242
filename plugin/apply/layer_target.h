#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "plugin/apply/extractor.h"
#include "plugin/apply/mount_options.h"
#include "plugin/apply/root_dir.h"

namespace eagle::apply {

/// How the mounts of a request are written to.
struct TargetPlan {
  /// The writable directory of an overlay; "" where the mounts have to be mounted first.
  std::string upper_dir;
  /// Absolute paths, topmost first.
  std::vector<std::string> lower_dirs;
  std::vector<Mount> mounts;
  std::vector<MountArguments> arguments;
  bool in_user_namespace = false;

  [[nodiscard]] bool needs_mount() const { return upper_dir.empty(); }
};

/// Whether user ids of this process are mapped, in which devices and trusted attributes are
/// refused.
bool InUserNamespace();

/// Decides before anything is touched. A single overlay is written to below the mount; all else
/// goes through a mount. INVALID_ARGUMENT for no mounts and read-only ones, UNIMPLEMENTED for what
/// only another applier can do.
absl::StatusOr<TargetPlan> PlanTarget(std::vector<Mount> mounts, bool in_user_namespace);

/// The open root that a layer is unpacked into.
class LayerTarget {
 public:
  /// `mount_point` is an empty directory for the mounts, unused when none is needed.
  static absl::StatusOr<std::unique_ptr<LayerTarget>> Open(TargetPlan plan,
                                                           const std::string& mount_point);

  /// Unmounts what Close() has not.
  ~LayerTarget();
  LayerTarget(const LayerTarget&) = delete;
  LayerTarget& operator=(const LayerTarget&) = delete;

  [[nodiscard]] const RootDir& root() const { return *root_; }
  [[nodiscard]] ExtractOptions extract_options() const;

  /// syncfs(2), as containerd's sync_fs: on the upper directory or the source of a bind mount, else
  /// nothing.
  absl::Status Sync();
  /// Unmounts; root() is gone afterwards.
  absl::Status Close();

 private:
  LayerTarget(TargetPlan plan, std::string mount_point)
      : plan_(std::move(plan)), mount_point_(std::move(mount_point)) {}
  absl::Status MountAll();

  TargetPlan plan_;
  std::string mount_point_;
  std::size_t mounted_ = 0;
  std::unique_ptr<RootDir> root_;
};

}  // namespace eagle::apply
