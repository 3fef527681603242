#pragma once

#include <string_view>
#include <vector>

#include "lib/base/clock.h"
#include "tracker/http_server.h"
#include "tracker/ip_address.h"
#include "tracker/swarm_table.h"
#include "tracker/tracker_metrics.h"

namespace eagle::tracker {

/// The tracker's HTTP surface: GET /announce and GET /scrape. Thread-safe; never blocks.
class TrackerService {
 public:
  /// Clients in `trusted` may state another address than their own (`ip=`). The others must outlive
  /// the service.
  TrackerService(SwarmTable& table, std::vector<Network> trusted, TrackerMetrics& metrics,
                 const base::Clock& clock);

  /// What is wrong with an announce or scrape is said as a `failure reason` with status 200, since
  /// BitTorrent clients show nothing else.
  [[nodiscard]] HttpAnswer Handle(const HttpQuestion& question);

 private:
  HttpAnswer Announce(std::string_view query, const IpAddress& client);
  HttpAnswer Scrape(std::string_view query);
  HttpAnswer Fail(Failure failure, const absl::Status& status, const IpAddress& client);
  absl::StatusOr<IpAddress> AddressOf(const AnnounceRequest& request,
                                      const IpAddress& client) const;

  SwarmTable& table_;
  const std::vector<Network> trusted_;
  TrackerMetrics& metrics_;
  const base::Clock& clock_;
};

}  // namespace eagle::tracker
