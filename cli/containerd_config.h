#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace eagle::cli {

/// What Eagle has to know of a containerd's configuration (TOML, config versions 1 to 4).
struct ContainerdConfig {
  struct File {
    std::string path;
    /// As it is literally written; nullopt when it is not.
    std::optional<std::int64_t> version;
    std::vector<std::string> imports;
  };
  struct Proxy {
    std::string type;
    std::string address;
    std::string file;
  };
  struct Unpack {
    std::string platform;
    std::string snapshotter;
    std::string differ;
    std::string file;
  };
  struct Differs {
    std::vector<std::string> order;
    std::string file;
  };

  /// The main file first, then what it imports, in the order in which containerd reads it.
  std::vector<File> files;
  /// Imports without a wildcard whose file is not there: containerd does not start.
  std::vector<std::string> missing_imports;
  /// Empty where no file says it.
  std::string root;
  /// Of containerd's own socket.
  std::string address;
  /// That CRI uses.
  std::string snapshotter;
  /// Over all files; containerd appends lists.
  std::vector<std::string> disabled;
  /// By name; the last file wins.
  std::map<std::string, Proxy> proxies;
  /// unpack_config of the transfer service, over all files.
  std::vector<Unpack> unpack;
  /// `default` of the diff service: one for each file that sets it.
  std::vector<Differs> differs;

  /// Of the main file; 1 when none is written there, as containerd takes it.
  [[nodiscard]] std::int64_t root_version() const;
  /// The file of that path, nullptr when it is not among those that are read.
  [[nodiscard]] const File* Find(std::string_view path) const;
};

/// Reads the main file at `path` and what it imports, all below `root` ("/" is this host).
/// NOT_FOUND when there is no main file, INVALID_ARGUMENT with file, line and column when one is no
/// TOML.
absl::StatusOr<ContainerdConfig> LoadContainerdConfig(const std::string& root,
                                                      const std::string& path);

/// One text, such as `containerd config dump` prints.
absl::StatusOr<ContainerdConfig> ParseContainerdConfig(std::string_view text,
                                                       const std::string& name);

}  // namespace eagle::cli
