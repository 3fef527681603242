#include "sidecar/sidecar_config.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "lib/base/endpoint.h"
#include "lib/config/reader.h"
#include "lib/swarm/session.h"

namespace eagle::sidecar {
namespace {

constexpr std::string_view kUnixPrefix = "unix:/";
// sun_path of sockaddr_un with its terminating zero.
constexpr std::size_t kMaxUnixPath = 107;
constexpr std::int64_t kMostTransfers = 1000;

bool IsAddress(const std::string& text) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

// libtorrent announces to no other path on a private address (ssrf_mitigation).
bool IsAnnounceUrl(const std::string& url) {
  const auto starts = [&](std::string_view scheme) {
    return url.starts_with(scheme) && url.size() > scheme.size();
  };
  if (starts("udp://")) return true;
  const std::string path = url.substr(0, url.find('?'));
  return (starts("http://") || starts("https://")) && path.ends_with("/announce");
}

void ReadAddresses(config::Section& root, SidecarConfig* config) {
  root.String("listen", &config->listen);
  if (!config->listen.starts_with(kUnixPrefix)) {
    root.Problem("listen", "must be unix:/<path>; only the plugin on this node is served");
  } else if (config->listen.size() - kUnixPrefix.size() + 1 > kMaxUnixPath) {
    root.Problem("listen", "the path of a unix socket has at most 107 characters");
  }
  root.String("cache_dir", &config->cache_dir);
  if (!config->cache_dir.starts_with('/')) {
    root.Problem("cache_dir", "must be an absolute path");
  }
  root.Strings("seeders", &config->seeders);
  if (config->seeders.empty()) {
    root.Problem("seeders", "must name at least one seeder as <host>:<port>");
  }
  for (const std::string& seeder : config->seeders) {
    if (base::Endpoint::Parse(seeder).ok()) continue;
    root.Problem("seeders", fmt::format("\"{}\" is not <host>:<port>", seeder));
  }
  if (!root.Has("trackers")) {
    root.Problem("trackers", "must list the trackers' announce URLs; [] to do without any");
  }
  root.Strings("trackers", &config->trackers);
  for (const std::string& tracker : config->trackers) {
    if (IsAnnounceUrl(tracker)) continue;
    root.Problem(
        "trackers",
        fmt::format("\"{}\" is neither http(s)://<host>:<port>/announce nor udp://...", tracker));
  }
}

void ReadBitTorrent(config::Section& section, SidecarConfig::BitTorrent* bittorrent) {
  section.String("listen_address", &bittorrent->listen_address);
  if (!IsAddress(bittorrent->listen_address)) {
    section.Problem("listen_address", "must be an IP address, 0.0.0.0 for every interface");
  }
  section.Port("port", &bittorrent->port);
  section.Rate("upload_limit", &bittorrent->upload_limit);
  section.Rate("download_limit", &bittorrent->download_limit);
  section.Strings("peer_cidrs", &bittorrent->peer_cidrs);
  if (const absl::Status cidrs = swarm::CheckPeerCidrs(bittorrent->peer_cidrs); !cidrs.ok()) {
    section.Problem("peer_cidrs", std::string(base::Message(cidrs)));
  }
}

// "20%", or a size.
void ReadMinFree(config::Section& section, SidecarConfig::Cache* cache) {
  if (!section.Has("min_free")) return;
  std::string text;
  section.String("min_free", &text);
  cache->min_free = {};
  cache->min_free_percent = 0;
  const std::string_view number = std::string_view(text).substr(0, text.find('%'));
  if (text.ends_with('%')) {
    const auto [end, error] =
        std::from_chars(number.begin(), number.end(), cache->min_free_percent);
    if (error == std::errc() && end == number.end() && number.size() + 1 == text.size() &&
        cache->min_free_percent >= 0 && cache->min_free_percent < 100) {
      return;
    }
  } else if (const auto size = base::ByteSize::Parse(text); size.ok()) {
    cache->min_free = *size;
    return;
  }
  section.Problem("min_free", "must be a share of the file system, as 20%, or a size, as 10GiB");
}

void ReadP2p(config::Section& section, SidecarConfig::P2p* p2p) {
  section.Duration("stall_timeout", &p2p->stall_timeout);
  if (p2p->stall_timeout.count() <= 0) section.Problem("stall_timeout", "must be longer than 0");
  section.Int("max_transfers", &p2p->max_transfers, 1, kMostTransfers);
}

}  // namespace

absl::StatusOr<SidecarConfig> LoadConfig(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(config::Document document, config::Document::Load(path));
  SidecarConfig config;
  config::Section root = document.Root();
  ReadAddresses(root, &config);
  root.Map("bittorrent",
           [&](config::Section& section) { ReadBitTorrent(section, &config.bittorrent); });
  root.Map("cache", [&](config::Section& section) {
    section.Size("limit", &config.cache.limit);
    if (config.cache.limit.bytes <= 0) section.Problem("limit", "must be more than 0");
    ReadMinFree(section, &config.cache);
  });
  root.Map("p2p", [&](config::Section& section) { ReadP2p(section, &config.p2p); });
  root.Map("metrics", [&](config::Section& section) {
    section.String("listen", &config.metrics_listen);
    if (!config.metrics_listen.empty() && !base::Endpoint::Parse(config.metrics_listen).ok()) {
      section.Problem("listen", "must be <address>:<port>, or \"\" for no endpoint");
    }
  });
  root.Enum("log_level", &config.log_level, {"debug", "info", "warn", "error"});
  EAGLE_RETURN_IF_ERROR(document.Finish());
  return config;
}

}  // namespace eagle::sidecar
