#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tracker/announce_request.h"
#include "tracker/swarm_table.h"

namespace eagle::tracker {

/// The body of an answer to GET /announce: compact `peers` and, when there are IPv6 peers, `peers6`
/// (BEP 23, BEP 7), or BEP 3's list of dictionaries when the request says `compact=0`.
std::string EncodeAnnounce(const AnnounceRequest& request, const AnnounceResult& result);

/// The body of an answer to GET /scrape (BEP 48).
std::string EncodeScrape(const std::map<InfoHash, SwarmCounts>& files);

/// `failure reason` (BEP 3), for people to read.
std::string EncodeFailure(std::string_view reason);

}  // namespace eagle::tracker
