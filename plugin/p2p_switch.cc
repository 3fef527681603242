#include "plugin/p2p_switch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "lib/base/file.h"

namespace eagle::plugin {
namespace {

constexpr std::int64_t kMaxFileBytes = 64 << 10;

}  // namespace

std::optional<P2pSwitch::Off> P2pSwitch::Load() const {
  const auto text = base::ReadFile(path(), kMaxFileBytes);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  Off off;
  if (!text.ok()) return off;
  std::istringstream lines(*text);
  std::getline(lines, off.since);
  std::getline(lines, off.reason);
  return off;
}

absl::Status P2pSwitch::TurnOff(const Off& off) const {
  std::string reason = off.reason;
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  EAGLE_RETURN_IF_ERROR(base::MakeDirectories(state_dir_));
  return base::WriteFileAtomic(path(), fmt::format("{}\n{}\n", off.since, reason));
}

absl::Status P2pSwitch::TurnOn() const {
  if (::unlink(path().c_str()) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return base::ErrnoError(errno, fmt::format("remove {}", path()));
  }
  return base::SyncDirectory(state_dir_);
}

}  // namespace eagle::plugin
