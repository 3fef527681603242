#pragma once

#include <optional>
#include <string>

#include "lib/base/status.h"

namespace eagle::plugin {

/// The operator's switch, kept as a file so that it outlives plugin and boot: P2P is off while
/// `<state_dir>/p2p-off` exists. Its first line is when it was switched off (RFC 3339), the second
/// one why. Not thread-safe; blocks on the disk.
class P2pSwitch {
 public:
  struct Off {
    std::string since;
    std::string reason;
  };

  explicit P2pSwitch(std::string state_dir) : state_dir_(std::move(state_dir)) {}

  /// nullopt: on. A file that cannot be read is off, too: whoever made it wanted that.
  [[nodiscard]] std::optional<Off> Load() const;

  /// Keeps it durably; makes the folder. Line breaks in a reason become spaces.
  [[nodiscard]] absl::Status TurnOff(const Off& off) const;
  [[nodiscard]] absl::Status TurnOn() const;

 private:
  [[nodiscard]] std::string path() const { return state_dir_ + "/p2p-off"; }

  const std::string state_dir_;
};

}  // namespace eagle::plugin
