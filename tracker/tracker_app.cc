#include "tracker/tracker_app.h"

#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/observe/ops_server.h"
#include "tracker/hand_out_policy.h"
#include "tracker/http_server.h"
#include "tracker/ip_address.h"
#include "tracker/swarm_table.h"
#include "tracker/tracker_metrics.h"
#include "tracker/tracker_service.h"

namespace eagle::tracker {
namespace {

constexpr std::chrono::seconds kSweepPeriod{5};
// Beside the connections: metrics, log, event queues, connections that are just being refused.
constexpr rlim_t kOtherDescriptors = 256;

void RaiseDescriptorLimit(std::int64_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t needed = static_cast<rlim_t>(connections) + kOtherDescriptors;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed) {
    observe::Warn("few_descriptors", "have", limit.rlim_max, "need", needed, "fix",
                  "raise LimitNOFILE or lower limits.connections");
  }
}

SwarmTableOptions TableOptions(const TrackerConfig& config) {
  std::random_device entropy;
  return {.min_interval = config.announce.min_interval,
          .max_interval = config.announce.max_interval,
          .peer_timeout = config.announce.peer_timeout,
          .default_peers = static_cast<std::size_t>(config.announce.default_peers),
          .max_peers = static_cast<std::size_t>(config.announce.max_peers),
          .max_swarms = static_cast<std::size_t>(config.limits.swarms),
          .max_peers_per_swarm = static_cast<std::size_t>(config.limits.peers_per_swarm),
          .max_total_peers = static_cast<std::size_t>(config.limits.peers),
          .seed = (std::uint64_t{entropy()} << 32) | entropy()};
}

absl::StatusOr<std::vector<Network>> Networks(const std::vector<std::string>& cidrs) {
  std::vector<Network> networks;
  for (const std::string& cidr : cidrs) {
    EAGLE_ASSIGN_OR_RETURN(networks.emplace_back(), Network::Parse(cidr));
  }
  return networks;
}

void SweepUntilStopped(const std::stop_token& stop, SwarmTable& table, TrackerMetrics& metrics) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    wake.wait_for(lock, stop, kSweepPeriod, [] { return false; });
    table.Sweep();
    metrics.TableChanged(table.Totals());
  }
}

}  // namespace

// In the order of the start; they end in the reverse one.
struct TrackerApp::Parts {
  Parts(const TrackerConfig& config, std::unique_ptr<HandOutPolicy> hand_out,
        std::vector<Network> trusted)
      : policy(std::move(hand_out)),
        table(TableOptions(config), *policy, clock),
        metrics(registry),
        service(table, std::move(trusted), metrics, clock) {}

  base::SystemClock clock;
  const std::unique_ptr<HandOutPolicy> policy;
  SwarmTable table;
  observe::MetricsRegistry registry;
  TrackerMetrics metrics;
  TrackerService service;
  std::atomic<bool> serving{false};
  std::unique_ptr<observe::OpsServer> ops;
  std::jthread sweeper;
  std::unique_ptr<HttpServer> server;
};

TrackerApp::TrackerApp(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

absl::StatusOr<std::unique_ptr<TrackerApp>> TrackerApp::Start(const TrackerConfig& config) {
  EAGLE_ASSIGN_OR_RETURN(auto policy, MakeHandOutPolicy(config.policy));
  EAGLE_ASSIGN_OR_RETURN(auto trusted, Networks(config.trusted_cidrs));
  RaiseDescriptorLimit(config.limits.connections);
  auto parts = std::make_unique<Parts>(config, std::move(policy), std::move(trusted));
  Parts* raw = parts.get();
  EAGLE_ASSIGN_OR_RETURN(
      parts->ops, observe::OpsServer::Start({.listen = config.metrics_listen}, parts->registry,
                                            [raw] { return raw->serving ? "" : "not serving"; }));
  parts->sweeper = std::jthread(
      [raw](const std::stop_token& stop) { SweepUntilStopped(stop, raw->table, raw->metrics); });
  EAGLE_ASSIGN_OR_RETURN(
      parts->server,
      HttpServer::Start(
          {.listen = config.listen,
           .threads = static_cast<std::size_t>(config.threads),
           .max_connections = static_cast<std::size_t>(config.limits.connections),
           .max_request_bytes = static_cast<std::size_t>(config.limits.request_size.bytes)},
          [raw](const HttpQuestion& question) { return raw->service.Handle(question); },
          parts->metrics));
  parts->serving = true;
  observe::Info("listening", "address", config.listen, "port", parts->server->port(),
                "metrics_port", parts->ops->port());
  return std::unique_ptr<TrackerApp>(new TrackerApp(std::move(parts)));
}

TrackerApp::~TrackerApp() {
  parts_->serving = false;
}

std::uint16_t TrackerApp::port() const {
  return parts_->server->port();
}

std::uint16_t TrackerApp::metrics_port() const {
  return parts_->ops->port();
}

}  // namespace eagle::tracker
