#pragma once

#include <cstdint>
#include <libtorrent/ip_filter.hpp>
#include <libtorrent/settings_pack.hpp>

#include "lib/base/status.h"
#include "lib/swarm/session.h"

namespace eagle::swarm {

/// The first characters of a seeder's peer id (BEP 20).
inline constexpr char kSeederPeerId[] = "-ES";
inline constexpr char kNodePeerId[] = "-EN";

/// Every setting that differs from libtorrent's default; README.md has the reasons.
libtorrent::settings_pack MakeSettings(const SessionOptions& options);

/// Lets in what is inside of `cidrs`; everything when there are none. INVALID_ARGUMENT names the
/// entry that is no CIDR.
absl::StatusOr<libtorrent::ip_filter> MakePeerFilter(const std::vector<std::string>& cidrs);

/// All addresses carry the mark of one peer class.
libtorrent::ip_filter AllAddresses(std::uint32_t mark);

}  // namespace eagle::swarm
