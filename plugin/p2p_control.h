#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/mutex.h"
#include "lib/base/status.h"
#include "plugin/layer_fetcher.h"
#include "plugin/p2p_switch.h"
#include "plugin/plugin_config.h"

namespace eagle::plugin {

/// What an operator changes in a running plugin: the switch, and what the configuration file says
/// about P2P. Thread-safe. Switch() and Reload() block on the disk, one at a time; state() does not
/// block.
class P2pControl {
 public:
  struct State {
    /// On only if the switch, p2p.enabled and a cache_dir all say so.
    [[nodiscard]] bool enabled() const { return !off && config.enabled && has_cache; }
    std::optional<P2pSwitch::Off> off;
    bool has_cache = false;
    PluginConfig::P2p config;
    std::string log_level;
  };
  struct Switched {
    State state;
    bool changed = false;
    /// Layers that waited and now come from the registry.
    std::int64_t released = 0;
    /// The switch is in force, but a restart will forget it.
    absl::Status kept;
  };
  struct Reloaded {
    State state;
    /// "p2p.min_size: 1MiB -> 2MiB"
    std::vector<std::string> changes;
    /// Keys that differ from those the plugin runs with and need a restart.
    std::vector<std::string> needs_restart;
  };

  /// Reads the switch; nothing is in force before Attach().
  explicit P2pControl(const PluginConfig& config);

  [[nodiscard]] State state() const;
  /// The rules that state() means.
  [[nodiscard]] LayerFetcher::Options options() const;

  /// From here on changes go to `layers`, which must outlive this.
  void Attach(LayerFetcher& layers);

  Switched Switch(bool on, const std::string& reason);

  /// INVALID_ARGUMENT with every problem of the file, FAILED_PRECONDITION when the plugin was not
  /// started from one; nothing has changed then.
  absl::StatusOr<Reloaded> Reload();

 private:
  static LayerFetcher::Options OptionsOf(const State& state);
  std::int64_t Enforce(const State& state);

  const PluginConfig started_with_;
  const P2pSwitch switch_;
  // Held over a whole change, the disk included.
  base::Mutex change_mutex_;
  LayerFetcher* layers_ ABSL_GUARDED_BY(change_mutex_) = nullptr;
  mutable base::Mutex state_mutex_;
  State state_ ABSL_GUARDED_BY(state_mutex_);
};

}  // namespace eagle::plugin
