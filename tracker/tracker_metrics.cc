#include "tracker/tracker_metrics.h"

#include <string>
#include <utility>

namespace eagle::tracker {
namespace {

const std::pair<Event, const char*> kEvents[] = {
    {Event::kNone, "none"},
    {Event::kStarted, "started"},
    {Event::kCompleted, "completed"},
    {Event::kStopped, "stopped"},
};

const std::pair<Failure, const char*> kFailures[] = {
    {Failure::kBadRequest, "bad_request"}, {Failure::kSwarmLimit, "swarm_limit"},
    {Failure::kPeerLimit, "peer_limit"},   {Failure::kUnknownPath, "unknown_path"},
    {Failure::kBadMethod, "bad_method"},   {Failure::kBadHttp, "bad_http"},
    {Failure::kTooLarge, "too_large"},
};

const char kPeers[] = "eagle_tracker_peers";
const char kPeersHelp[] = "Peers of all swarms, by what they are.";

}  // namespace

TrackerMetrics::TrackerMetrics(observe::MetricsRegistry& registry)
    : announce_duration_(
          registry.AddHistogram("eagle_tracker_announce_duration_seconds",
                                "Time that an announce took in the tracker, without the network.",
                                {0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1})),
      scrapes_(registry.AddCounter("eagle_tracker_scrapes_total", "Scrapes answered.")),
      handed_out_(registry.AddCounter("eagle_tracker_peers_handed_out_total",
                                      "Peers told to announcing peers.")),
      swarms_(registry.AddGauge("eagle_tracker_swarms", "Swarms with at least one peer.")),
      seeds_(registry.AddGauge(kPeers, kPeersHelp, {{"role", "seed"}})),
      leeches_(registry.AddGauge(kPeers, kPeersHelp, {{"role", "leech"}})),
      connections_(registry.AddGauge("eagle_tracker_connections", "Open connections of clients.")),
      connections_refused_(registry.AddCounter("eagle_tracker_connections_refused_total",
                                               "Connections closed at limits.connections.")) {
  for (const auto& [event, name] : kEvents) {
    announces_[event] = &registry.AddCounter("eagle_tracker_announces_total",
                                             "Announces answered, by event.", {{"event", name}});
  }
  for (const auto& [failure, name] : kFailures) {
    failures_[failure] =
        &registry.AddCounter("eagle_tracker_failures_total",
                             "Requests without a proper answer, by reason.", {{"reason", name}});
  }
}

void TrackerMetrics::AnnounceServed(Event event, std::size_t handed_out,
                                    std::chrono::nanoseconds took) {
  announces_.at(event)->Increment();
  handed_out_.Add(static_cast<double>(handed_out));
  announce_duration_.Observe(std::chrono::duration<double>(took).count());
}

void TrackerMetrics::ScrapeServed() {
  scrapes_.Increment();
}

void TrackerMetrics::RequestFailed(Failure failure) {
  failures_.at(failure)->Increment();
}

void TrackerMetrics::TableChanged(const TableTotals& totals) {
  swarms_.Set(static_cast<double>(totals.swarms));
  seeds_.Set(static_cast<double>(totals.seeds));
  leeches_.Set(static_cast<double>(totals.leeches));
}

void TrackerMetrics::ConnectionsChanged(std::size_t open) {
  connections_.Set(static_cast<double>(open));
}

void TrackerMetrics::ConnectionRefused() {
  connections_refused_.Increment();
}

}  // namespace eagle::tracker
