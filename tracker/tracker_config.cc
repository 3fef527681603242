#include "tracker/tracker_config.h"

#include <fmt/format.h>

#include "lib/base/endpoint.h"
#include "lib/config/reader.h"
#include "tracker/ip_address.h"

namespace eagle::tracker {
namespace {

using config::Section;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

void ReadListen(Section& section, std::string* out) {
  section.String("listen", out);
  const auto endpoint = base::Endpoint::Parse(*out);
  if (!endpoint.ok()) {
    section.Problem("listen", std::string(base::Message(endpoint.status())));
  } else if (!IpAddress::Parse(endpoint->host).ok()) {
    section.Problem("listen", "must be an IP address and a port, for instance 0.0.0.0:6969");
  }
}

void ReadAnnounce(Section& section, AnnounceConfig* out) {
  section.Duration("min_interval", &out->min_interval);
  section.Duration("max_interval", &out->max_interval);
  section.Duration("peer_timeout", &out->peer_timeout);
  section.Int("default_peers", &out->default_peers, 0, 10'000);
  section.Int("max_peers", &out->max_peers, 1, 10'000);
  if (out->min_interval < seconds(1)) section.Problem("min_interval", "must be at least 1s");
  if (out->max_interval > hours(24)) section.Problem("max_interval", "must be at most 24h");
  if (out->max_interval < out->min_interval) {
    section.Problem("max_interval", "must not be less than min_interval");
  }
  if (out->peer_timeout < 2 * out->max_interval) {
    section.Problem(
        "peer_timeout",
        "must be at least twice max_interval, or peers are forgotten between announces");
  }
  if (out->default_peers > out->max_peers) {
    section.Problem("default_peers", "must not be more than max_peers");
  }
}

void ReadLimits(Section& section, LimitsConfig* out) {
  section.Int("swarms", &out->swarms, 1, 100'000'000);
  section.Int("peers_per_swarm", &out->peers_per_swarm, 1, 10'000'000);
  section.Int("peers", &out->peers, 1, 1'000'000'000);
  section.Int("connections", &out->connections, 1, 1'000'000);
  section.Size("request_size", &out->request_size);
  if (out->request_size < base::KiB(1) || out->request_size > base::MiB(1)) {
    section.Problem("request_size", "must be from 1KiB to 1MiB");
  }
}

}  // namespace

absl::StatusOr<TrackerConfig> LoadConfig(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(auto document, config::Document::Load(path));
  TrackerConfig config;
  Section root = document.Root();
  ReadListen(root, &config.listen);
  root.Map("announce", [&](Section& section) { ReadAnnounce(section, &config.announce); });
  root.Map("limits", [&](Section& section) { ReadLimits(section, &config.limits); });
  root.Enum("policy", &config.policy, {"random"});
  root.Strings("trusted_cidrs", &config.trusted_cidrs);
  for (const std::string& cidr : config.trusted_cidrs) {
    const auto network = Network::Parse(cidr);
    if (!network.ok()) {
      root.Problem("trusted_cidrs", std::string(base::Message(network.status())));
    }
  }
  root.Int("threads", &config.threads, 0, 1024);
  root.Map("metrics", [&](Section& section) { ReadListen(section, &config.metrics_listen); });
  root.Enum("log_level", &config.log_level, {"debug", "info", "warn", "error"});
  EAGLE_RETURN_IF_ERROR(document.Finish());
  return config;
}

}  // namespace eagle::tracker
