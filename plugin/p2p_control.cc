#include "plugin/p2p_control.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/observe/log.h"
#include "plugin/policy.h"

namespace eagle::plugin {
namespace {

std::string Text(bool value) {
  return value ? "true" : "false";
}
std::string Text(const std::string& value) {
  return fmt::format("\"{}\"", value);
}
std::string Text(base::ByteSize value) {
  return value.str();
}
std::string Text(base::ByteRate value) {
  return value.str();
}
std::string Text(std::chrono::milliseconds value) {
  return DurationText(value);
}
std::string Text(const std::vector<std::string>& value) {
  return fmt::format("{}", value);
}

template <typename Value>
void Compare(const char* key, const Value& before, const Value& after,
             std::vector<std::string>* changes) {
  if (before == after) return;
  changes->push_back(fmt::format("{}: {} -> {}", key, Text(before), Text(after)));
}

std::vector<std::string> Changes(const P2pControl::State& before, const PluginConfig& after) {
  std::vector<std::string> changes;
  const PluginConfig::P2p& old = before.config;
  Compare("p2p.enabled", old.enabled, after.p2p.enabled, &changes);
  Compare("p2p.min_size", old.min_size, after.p2p.min_size, &changes);
  Compare("p2p.stall_timeout", old.stall_timeout, after.p2p.stall_timeout, &changes);
  Compare("p2p.budget", old.budget, after.p2p.budget, &changes);
  Compare("p2p.sidecar_timeout", old.sidecar_timeout, after.p2p.sidecar_timeout, &changes);
  Compare("p2p.min_rate", old.min_rate, after.p2p.min_rate, &changes);
  Compare("p2p.allow", old.allow, after.p2p.allow, &changes);
  Compare("p2p.deny", old.deny, after.p2p.deny, &changes);
  Compare("log_level", before.log_level, after.log_level, &changes);
  return changes;
}

std::vector<std::string> NeedsRestart(const PluginConfig& running, const PluginConfig& file) {
  std::vector<std::string> keys;
  const auto compare = [&keys](const char* key, const std::string& a, const std::string& b) {
    if (a != b) keys.emplace_back(key);
  };
  compare("listen", running.listen, file.listen);
  compare("containerd_address", running.containerd_address, file.containerd_address);
  compare("root", running.root, file.root);
  compare("cache_dir", running.cache_dir, file.cache_dir);
  compare("sidecar_address", running.sidecar_address, file.sidecar_address);
  compare("state_dir", running.state_dir, file.state_dir);
  compare("metrics.listen", running.metrics_listen, file.metrics_listen);
  return keys;
}

}  // namespace

P2pControl::P2pControl(const PluginConfig& config)
    : started_with_(config), switch_(config.state_dir) {
  state_.off = switch_.Load();
  state_.has_cache = !config.cache_dir.empty();
  state_.config = config.p2p;
  state_.log_level = config.log_level;
  if (state_.off) {
    observe::Warn("p2p_switched_off", "since", state_.off->since, "reason", state_.off->reason,
                  "remedy", "eaglectl p2p on");
  }
}

P2pControl::State P2pControl::state() const {
  base::MutexLock lock(&state_mutex_);
  return state_;
}

LayerFetcher::Options P2pControl::OptionsOf(const State& state) {
  return {.enabled = state.enabled(),
          .min_size = state.config.min_size,
          .stall_timeout = state.config.stall_timeout,
          .budget = state.config.budget,
          .sidecar_timeout = state.config.sidecar_timeout,
          .min_rate = state.config.min_rate};
}

LayerFetcher::Options P2pControl::options() const {
  return OptionsOf(state());
}

void P2pControl::Attach(LayerFetcher& layers) {
  base::MutexLock lock(&change_mutex_);
  layers_ = &layers;
}

std::int64_t P2pControl::Enforce(const State& state) {
  // The file's expressions were compiled when it was read, so this cannot fail.
  auto policy = Policy::Create(state.config.allow, state.config.deny);
  if (!policy.ok()) return 0;
  {
    base::MutexLock lock(&state_mutex_);
    state_ = state;
  }
  change_mutex_.AssertHeld();
  return layers_ == nullptr ? 0 : layers_->SetRules(OptionsOf(state), *std::move(policy));
}

P2pControl::Switched P2pControl::Switch(bool on, const std::string& reason) {
  base::MutexLock lock(&change_mutex_);
  Switched result;
  result.state = state();
  result.changed = on == result.state.off.has_value();
  result.state.off.reset();
  if (!on) {
    result.state.off = {
        .since = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()),
        .reason = reason};
  }
  // First of all it must work: a disk that is full keeps nobody from switching P2P off.
  result.released = Enforce(result.state);
  result.kept = on ? switch_.TurnOn() : switch_.TurnOff(*result.state.off);
  observe::Info("p2p_switched", "on", on, "reason", reason, "released_layers", result.released,
                "kept", result.kept.ok());
  return result;
}

absl::StatusOr<P2pControl::Reloaded> P2pControl::Reload() {
  base::MutexLock lock(&change_mutex_);
  if (started_with_.path.empty()) {
    return absl::FailedPreconditionError("reload: the plugin was not started from a file");
  }
  EAGLE_ASSIGN_OR_RETURN(const PluginConfig file, LoadConfig(started_with_.path));
  EAGLE_ASSIGN_OR_RETURN(const observe::Level level, observe::ParseLevel(file.log_level));
  Reloaded result;
  result.state = state();
  result.changes = Changes(result.state, file);
  result.needs_restart = NeedsRestart(started_with_, file);
  result.state.config = file.p2p;
  result.state.log_level = file.log_level;
  observe::SetLogLevel(level);
  (void)Enforce(result.state);
  observe::Info("reloaded", "changes", fmt::format("{}", result.changes), "needs_restart",
                fmt::format("{}", result.needs_restart));
  return result;
}

}  // namespace eagle::plugin
