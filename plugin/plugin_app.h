#pragma once

#include <memory>
#include <string>

#include "lib/base/status.h"
#include "lib/process/run.h"
#include "plugin/plugin_config.h"

namespace eagle::plugin {

/// The running plugin: store, interception, servers. Stops in the reverse order of the start.
class PluginApp final : public process::App {
 public:
  static absl::StatusOr<std::unique_ptr<PluginApp>> Start(const PluginConfig& config);
  ~PluginApp() override;

  absl::Status Reload() override;
  absl::Status CheckAlive(std::chrono::milliseconds patience) override;

  /// Port of the metrics endpoint; 0 without one.
  [[nodiscard]] int metrics_port() const;

 private:
  struct Impl;
  explicit PluginApp(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::plugin
