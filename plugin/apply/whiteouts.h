#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "lib/base/status.h"
#include "plugin/apply/parent_dirs.h"
#include "plugin/apply/root_dir.h"
#include "plugin/apply/tar_entry.h"

namespace eagle::apply {

/// How the entries of a layer that remove what is below become true on disk.
enum class WhiteoutFormat {
  /// The things themselves are removed: the tree is the whole image so far.
  kRemove,
  /// Nodes and attributes that overlayfs understands: the tree is one layer of many.
  kOverlay,
};

/// Carries out whiteouts (OCI image spec, layer.md): ".wh.NAME" removes NAME, ".wh..wh..opq" all
/// that its directory had before this layer. Not thread-safe; root and parents must outlive it.
class Whiteouts {
 public:
  Whiteouts(WhiteoutFormat format, const RootDir& root, ParentDirs& parents)
      : format_(format), root_(root), parents_(parents) {}

  static bool IsWhiteout(std::string_view base) { return base.starts_with(kPrefix); }

  /// `base` is the last element of the entry's name, a whiteout. INVALID_ARGUMENT when what it
  /// names is not inside of `dir`.
  absl::Status Apply(const ParentDirs::Dir& dir, std::string_view base, const TarEntry& entry);

  /// Must be told of every entry that was unpacked, so that an opaque directory keeps it.
  void OnUnpacked(const ParentDirs::Dir& dir, std::string_view base);

 private:
  static constexpr std::string_view kPrefix = ".wh.";
  static constexpr std::string_view kOpaque = ".wh..wh..opq";

  absl::Status Remove(const ParentDirs::Dir& dir, const std::string& name);
  absl::Status RemoveOlder(const std::string& path);

  WhiteoutFormat format_;
  const RootDir& root_;
  ParentDirs& parents_;
  // Resolved paths; only for kRemove.
  std::unordered_set<std::string> unpacked_;
  std::unordered_set<std::string> opaque_;
};

}  // namespace eagle::apply
