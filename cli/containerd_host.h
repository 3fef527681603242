#pragma once

#include <array>
#include <optional>
#include <string>

#include "cli/containerd_config.h"
#include "cli/flavor.h"
#include "lib/base/status.h"

namespace eagle::cli {

/// Where to look for containerd.
struct HostOptions {
  /// "/" is this host; another one is looked at without running a daemon of it.
  std::string root = "/";
  /// Main configuration file, as seen below the root; "" is where the distribution has it.
  std::string config = "";
  /// The program, as seen below the root; "" is where the distribution has it.
  std::string containerd = "";
};

/// The containerd of a host: its version and configuration. Reads, and runs `containerd --version`
/// and `containerd config dump`; changes nothing.
class ContainerdHost {
 public:
  struct Version {
    int major = 0;
    int minor = 0;
    std::string text;
    [[nodiscard]] bool AtLeast(int want_major, int want_minor) const {
      return major > want_major || (major == want_major && minor >= want_minor);
    }
  };

  static ContainerdHost Look(const HostOptions& options);

  /// The path below the root, for opening.
  [[nodiscard]] std::string At(const std::string& path) const {
    return options_.root == "/" ? path : options_.root + path;
  }
  [[nodiscard]] const HostOptions& options() const { return options_; }
  [[nodiscard]] const Flavor& flavor() const { return flavor_; }
  [[nodiscard]] const std::string& config_path() const { return config_path_; }
  /// "" when there is none.
  [[nodiscard]] const std::string& program() const { return program_; }
  [[nodiscard]] const std::optional<Version>& version() const { return version_; }
  /// What the files say; an error says why they cannot be read.
  [[nodiscard]] const absl::StatusOr<ContainerdConfig>& files() const { return files_; }
  /// What containerd itself makes of them; UNAVAILABLE when it could not be run, INVALID_ARGUMENT
  /// with its own words when it refuses them.
  [[nodiscard]] const absl::StatusOr<ContainerdConfig>& dump() const { return dump_; }
  /// The better of the two: the dump, else the files.
  [[nodiscard]] const ContainerdConfig* effective() const;
  /// The folder for drop-ins of a main file of that version.
  [[nodiscard]] const std::string& drop_ins(std::int64_t config_version) const {
    return config_version >= 3 ? flavor_.drop_ins_v3 : flavor_.drop_ins_v2;
  }

 private:
  ContainerdHost() = default;
  void FindProgram();
  void AskProgram();

  HostOptions options_;
  Flavor flavor_;
  std::string config_path_;
  std::string program_;
  std::optional<Version> version_;
  absl::StatusOr<ContainerdConfig> files_ = absl::NotFoundError("not read");
  absl::StatusOr<ContainerdConfig> dump_ = absl::UnavailableError("containerd was not found");
};

/// "containerd github.com/containerd/containerd 1.6.20~ds1 ..." as a version.
std::optional<ContainerdHost::Version> ParseVersion(const std::string& text);

}  // namespace eagle::cli
