#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/swarm/torrent.h"

namespace eagle::swarm {

/// The bencoded info dictionary of a layer; `pieces` are the SHA-1 hashes, 20 bytes each.
std::string CanonicalInfo(const base::Digest& digest, std::int64_t size_bytes,
                          std::string_view pieces);

struct ParsedTorrent {
  TorrentSummary summary;
  /// The info dictionary alone: what libtorrent gets to see, without trackers, web seeds or
  /// anything else that a metainfo from the network may carry.
  std::string info;
};

/// ParseTorrent() that keeps the info dictionary.
absl::StatusOr<ParsedTorrent> ParseMetainfo(std::string_view metainfo);

}  // namespace eagle::swarm
