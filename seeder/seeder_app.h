#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/status.h"
#include "lib/observe/metrics.h"
#include "lib/observe/ops_server.h"
#include "lib/process/run.h"
#include "lib/rpc/server.h"
#include "seeder/durable_tier.h"
#include "seeder/file_storage.h"
#include "seeder/grpc_other_seeders.h"
#include "seeder/image_fetch.h"
#include "seeder/layer_admin.h"
#include "seeder/layer_fetches.h"
#include "seeder/layer_pins.h"
#include "seeder/metainfo_service.h"
#include "seeder/notification_server.h"
#include "seeder/origin_fetch.h"
#include "seeder/preheater.h"
#include "seeder/second_uploads.h"
#include "seeder/seeder_config.h"
#include "seeder/seeder_metrics.h"
#include "seeder/seeder_service.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// A running seeder. Every layer that it had at the last stop is seeded again.
class SeederApp final : public process::App, private EvictionListener {
 public:
  static absl::StatusOr<std::unique_ptr<SeederApp>> Start(const SeederConfig& config);
  /// Answers those who wait with UNAVAILABLE, ends fetches, tells trackers "stopped".
  ~SeederApp() override;

  [[nodiscard]] int grpc_port() const { return server_->port(); }
  [[nodiscard]] std::uint16_t metrics_port() const { return ops_->port(); }
  /// Only with `notifications.listen`.
  [[nodiscard]] std::uint16_t notifications_port() const { return notification_server_->port(); }

 private:
  SeederApp() : metrics_(registry_) {}

  absl::Status StartParts(const SeederConfig& config);
  absl::Status SeedStoredLayers();
  absl::Status OpenTier(const SeederConfig& config);
  absl::Status StartPreheater(const SeederConfig& config);
  absl::Status StartNotifications(const NotificationsConfig& config);
  absl::Status StartAdmin(const SeederConfig& config);
  void OnEviction(const base::Digest& digest) override;
  void ObserveLoop();
  void ObserveOnce();

  // In the order of the start; the destructor ends them the other way round.
  const base::SystemClock clock_;
  observe::MetricsRegistry registry_;
  SeederMetrics metrics_;
  std::atomic<bool> ready_ = false;
  std::unique_ptr<observe::OpsServer> ops_;
  std::unique_ptr<FileStorage> storage_;
  std::unique_ptr<SessionSwarm> swarm_;
  std::unique_ptr<Origins> origins_;
  /// nullptr where the seeder's own disk is all there is.
  std::unique_ptr<DurableTier> tier_;
  std::unique_ptr<SecondUploads> uploads_;
  std::unique_ptr<OriginFetch> origin_;
  std::unique_ptr<GrpcOtherSeeders> others_;
  std::unique_ptr<LayerFetches> fetches_;
  std::unique_ptr<MetaInfoService> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<ImageFetch> images_;
  std::unique_ptr<Preheater> preheater_;
  std::unique_ptr<Notifications> notifications_;
  /// nullptr where nothing listens for notifications.
  std::unique_ptr<NotificationServer> notification_server_;
  std::unique_ptr<LayerPins> pins_;
  std::unique_ptr<LayerAdmin> admin_;
  std::unique_ptr<SeederService> admin_service_;
  std::unique_ptr<rpc::Server> admin_server_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread observer_;
};

}  // namespace eagle::seeder
