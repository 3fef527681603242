#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace eagle::tracker {

/// Names a swarm: SHA-1 of the torrent's info dictionary (BEP 3).
using InfoHash = std::array<std::uint8_t, 20>;
using PeerId = std::array<std::uint8_t, 20>;

/// Why a peer announces (BEP 3). BEP 21's "paused" is kNone here: such a peer stays a downloader.
enum class Event { kNone, kStarted, kCompleted, kStopped };

/// What a peer says of itself, whatever protocol it came by.
struct AnnounceRequest {
  InfoHash info_hash{};
  PeerId peer_id{};
  /// Never 0.
  std::uint16_t port = 0;
  /// Nothing left to download.
  bool seed = false;
  Event event = Event::kNone;
  /// How many peers it would like; absent when it leaves that to the tracker.
  std::optional<std::size_t> wanted;
  /// Fingerprint of `key=`, which proves that two announces come from one client; 0 without.
  std::uint64_t key = 0;
  /// BEP 23's short form of the reply.
  bool compact = true;
  /// Leave the peer ids out of the long form.
  bool no_peer_id = false;
  /// `ip=` as it came, not yet checked: it counts only from a trusted client.
  std::string stated_address;
};

/// Reads the query of GET /announce (BEP 3, 7, 23). Keys it does not know are ignored. The error,
/// INVALID_ARGUMENT, is a sentence for the client.
absl::StatusOr<AnnounceRequest> ParseAnnounce(std::string_view query);

/// Reads the query of GET /scrape (BEP 48): one info hash or several.
absl::StatusOr<std::vector<InfoHash>> ParseScrape(std::string_view query);

}  // namespace eagle::tracker
