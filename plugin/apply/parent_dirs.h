#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "plugin/apply/lower_dirs.h"
#include "plugin/apply/root_dir.h"

namespace eagle::apply {

/// The directories that entries go into: found through the links of the tree, made where they are
/// missing, kept open for the next entry. Not thread-safe; both arguments must outlive it.
class ParentDirs {
 public:
  struct Dir {
    /// Open for reading.
    base::UniqueFd fd;
    /// Rooted, clean, without links.
    std::string path;
  };
  using DirPtr = std::shared_ptr<const Dir>;

  ParentDirs(const RootDir& root, LowerDirs& lower) : root_(root), lower_(lower) {}

  /// The directory that `rooted`, a clean path, leads to. Missing ones are made with mode 0755 and
  /// what the lower layers have for them. FAILED_PRECONDITION when something else is on the way.
  absl::StatusOr<DirPtr> FindOrMake(std::string_view rooted);

  /// The same, but a missing directory is NOT_FOUND.
  absl::StatusOr<DirPtr> Find(std::string_view rooted);

  /// Must be told of everything of this type (S_IFMT bits) that was removed from the tree, and of
  /// every link that was made: what was found before may lead elsewhere now.
  void OnRemoved(mode_t type);
  void OnLinkMade();

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  absl::StatusOr<DirPtr> Lookup(std::string_view rooted, bool make);
  absl::Status Make(std::string_view resolved);
  void Forget();

  const RootDir& root_;
  LowerDirs& lower_;
  std::unordered_map<std::string, DirPtr, Hash, std::equal_to<>> known_;
  // The directory of the last entry, which is most often that of the next.
  std::string last_;
  DirPtr last_dir_;
  bool links_followed_ = false;
};

}  // namespace eagle::apply
