#pragma once

#include <chrono>
#include <cstddef>
#include <map>

#include "lib/observe/metrics.h"
#include "tracker/announce_request.h"
#include "tracker/swarm_table.h"

namespace eagle::tracker {

/// Why a request got no proper answer.
enum class Failure {
  kBadRequest,   // a query that does not parse
  kSwarmLimit,   // limits.swarms
  kPeerLimit,    // limits.peers or limits.peers_per_swarm: answered, but not listed
  kUnknownPath,  // neither /announce nor /scrape
  kBadMethod,    // not GET
  kBadHttp,      // not HTTP
  kTooLarge,     // limits.request_size
};

/// The metrics of the tracker. Thread-safe.
class TrackerMetrics {
 public:
  /// `registry` must outlive this.
  explicit TrackerMetrics(observe::MetricsRegistry& registry);

  /// An announce that was answered with `handed_out` peers.
  void AnnounceServed(Event event, std::size_t handed_out, std::chrono::nanoseconds took);
  void ScrapeServed();
  void RequestFailed(Failure failure);
  void TableChanged(const TableTotals& totals);
  void ConnectionsChanged(std::size_t open);
  /// limits.connections was reached.
  void ConnectionRefused();

 private:
  std::map<Event, observe::Counter*> announces_;
  std::map<Failure, observe::Counter*> failures_;
  observe::Histogram& announce_duration_;
  observe::Counter& scrapes_;
  observe::Counter& handed_out_;
  observe::Gauge& swarms_;
  observe::Gauge& seeds_;
  observe::Gauge& leeches_;
  observe::Gauge& connections_;
  observe::Counter& connections_refused_;
};

}  // namespace eagle::tracker
