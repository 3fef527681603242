#include "plugin/plugin_config.h"

#include <fmt/format.h>

#include <string_view>

#include "lib/base/endpoint.h"
#include "lib/config/reader.h"
#include "plugin/policy.h"

namespace eagle::plugin {
namespace {

constexpr std::string_view kUnixPrefix = "unix:/";
// sun_path of sockaddr_un with its terminating zero.
constexpr std::size_t kMaxUnixPath = 107;

void UnixAddress(config::Section& section, std::string_view key, std::string* out) {
  section.String(key, out);
  if (!out->starts_with(kUnixPrefix)) {
    section.Problem(key, "must be unix:/<path>; the content store is never served on a network");
  } else if (out->size() - kUnixPrefix.size() + 1 > kMaxUnixPath) {
    section.Problem(key, "the path of a unix socket has at most 107 characters");
  }
}

void AbsolutePath(config::Section& section, std::string_view key, std::string* out) {
  section.String(key, out);
  if (!out->empty() && !out->starts_with('/')) section.Problem(key, "must be an absolute path");
}

void PositiveDuration(config::Section& section, std::string_view key,
                      std::chrono::milliseconds* out) {
  section.Duration(key, out);
  if (out->count() <= 0) section.Problem(key, "must be longer than 0");
}

void ReadP2p(config::Section& section, PluginConfig::P2p* p2p) {
  section.Bool("enabled", &p2p->enabled);
  section.Size("min_size", &p2p->min_size);
  PositiveDuration(section, "stall_timeout", &p2p->stall_timeout);
  PositiveDuration(section, "budget", &p2p->budget);
  PositiveDuration(section, "sidecar_timeout", &p2p->sidecar_timeout);
  section.Rate("min_rate", &p2p->min_rate);
  section.Strings("allow", &p2p->allow);
  section.Strings("deny", &p2p->deny);
  if (const auto policy = Policy::Create(p2p->allow, {}); !policy.ok()) {
    section.Problem("allow", std::string(base::Message(policy.status())));
  }
  if (const auto policy = Policy::Create({}, p2p->deny); !policy.ok()) {
    section.Problem("deny", std::string(base::Message(policy.status())));
  }
}

}  // namespace

absl::StatusOr<PluginConfig> LoadConfig(const std::string& path) {
  EAGLE_ASSIGN_OR_RETURN(config::Document document, config::Document::Load(path));
  PluginConfig config;
  config::Section root = document.Root();
  UnixAddress(root, "listen", &config.listen);
  UnixAddress(root, "containerd_address", &config.containerd_address);
  UnixAddress(root, "sidecar_address", &config.sidecar_address);
  AbsolutePath(root, "root", &config.root);
  if (config.root.empty()) root.Problem("root", "must not be empty");
  AbsolutePath(root, "cache_dir", &config.cache_dir);
  AbsolutePath(root, "state_dir", &config.state_dir);
  if (config.state_dir.empty()) root.Problem("state_dir", "must not be empty");
  root.Map("p2p", [&](config::Section& p2p) { ReadP2p(p2p, &config.p2p); });
  root.Map("metrics", [&](config::Section& metrics) {
    metrics.String("listen", &config.metrics_listen);
    if (!config.metrics_listen.empty() && !base::Endpoint::Parse(config.metrics_listen).ok()) {
      metrics.Problem("listen", "must be <address>:<port>, or \"\" for no endpoint");
    }
  });
  root.Enum("log_level", &config.log_level, {"debug", "info", "warn", "error"});
  EAGLE_RETURN_IF_ERROR(document.Finish());
  config.path = path;
  return config;
}

std::string DurationText(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}

}  // namespace eagle::plugin
