#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/status.h"
#include "lib/process/run.h"
#include "tracker/tracker_config.h"

namespace eagle::tracker {

/// A running tracker. The destructor stops it: first no new requests, last the metrics.
class TrackerApp final : public process::App {
 public:
  /// Serves when it returns. UNAVAILABLE when an address is taken.
  static absl::StatusOr<std::unique_ptr<TrackerApp>> Start(const TrackerConfig& config);
  ~TrackerApp() override;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::uint16_t metrics_port() const;

 private:
  struct Parts;
  explicit TrackerApp(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace eagle::tracker
