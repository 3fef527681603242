#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/status.h"
#include "lib/process/run.h"
#include "sidecar/sidecar_config.h"

namespace eagle::sidecar {

/// The running sidecar: cache, BitTorrent session, service, metrics, in the order of their start.
/// Its destructor ends them in reverse, within a few seconds, with resume data saved.
class SidecarApp final : public process::App {
 public:
  static absl::StatusOr<std::unique_ptr<SidecarApp>> Start(const SidecarConfig& config);
  ~SidecarApp() override;
  SidecarApp(const SidecarApp&) = delete;
  SidecarApp& operator=(const SidecarApp&) = delete;

  [[nodiscard]] std::uint16_t bittorrent_port() const;
  [[nodiscard]] std::uint16_t metrics_port() const;

 private:
  struct Parts;
  explicit SidecarApp(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace eagle::sidecar
