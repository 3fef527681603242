#include "sidecar/sidecar_app.h"

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/thread_pool.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/observe/ops_server.h"
#include "lib/rpc/server.h"
#include "lib/swarm/session.h"
#include "sidecar/grpc_metainfo_client.h"
#include "sidecar/layer_transfers.h"
#include "sidecar/node_service.h"
#include "sidecar/sidecar_metrics.h"
#include "sidecar/swarm.h"

namespace eagle::sidecar {
namespace {

constexpr std::size_t kDiskThreads = 4;
constexpr unsigned int kSocketMode = 0660;
constexpr std::string_view kUnixPrefix = "unix:";

/// Threads that can be told to end while others still give them work.
class Workers {
 public:
  explicit Workers(std::size_t threads) : pool_(std::make_unique<base::ThreadPool>(threads)) {}

  void Post(std::function<void()> task) {
    absl::MutexLock lock(&mutex_);
    if (pool_ != nullptr) pool_->Post(std::move(task));
  }
  /// Runs what was given before, drops what comes later.
  void Stop() {
    std::unique_ptr<base::ThreadPool> pool;
    {
      absl::MutexLock lock(&mutex_);
      pool = std::move(pool_);
    }
  }

 private:
  absl::Mutex mutex_;
  std::unique_ptr<base::ThreadPool> pool_ ABSL_GUARDED_BY(mutex_);
};

void TickUntilStopped(const std::stop_token& stop, LayerTransfers& transfers) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    wake.wait_for(lock, stop, LayerTransfers::kTickEvery, [] { return false; });
    transfers.Tick();
  }
}

swarm::SessionOptions SessionOptionsOf(const SidecarConfig& config) {
  swarm::SessionOptions options;
  options.role = swarm::Role::kNode;
  options.listen_address = config.bittorrent.listen_address;
  options.port = config.bittorrent.port;
  options.trackers = config.trackers;
  options.upload_limit = config.bittorrent.upload_limit;
  options.download_limit = config.bittorrent.download_limit;
  options.peer_cidrs = config.bittorrent.peer_cidrs;
  return options;
}

}  // namespace

struct SidecarApp::Parts {
  explicit Parts(const SidecarConfig& config) : metrics(registry, config.cache.limit) {}

  base::SystemClock clock;
  observe::MetricsRegistry registry;
  SidecarMetrics metrics;
  /// Why the sidecar is not ready; "" when it is.
  std::atomic<const char*> missing{"starting: opening the cache"};
  std::unique_ptr<observe::OpsServer> ops;
  std::unique_ptr<blob::BlobCache> cache;
  std::unique_ptr<swarm::Session> session;
  std::unique_ptr<SessionSwarm> swarm;
  std::unique_ptr<GrpcMetainfoClient> client;
  Workers disk{kDiskThreads};
  Workers strand{1};
  std::unique_ptr<LayerTransfers> transfers;
  std::unique_ptr<NodeService> service;
  std::jthread ticker;
  std::unique_ptr<rpc::Server> server;
};

SidecarApp::SidecarApp(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

absl::StatusOr<std::unique_ptr<SidecarApp>> SidecarApp::Start(const SidecarConfig& config) {
  // Owned by an app from the first part on, so that a failed start ends in the same order.
  std::unique_ptr<SidecarApp> app(new SidecarApp(std::make_unique<Parts>(config)));
  Parts& parts = *app->parts_;
  EAGLE_ASSIGN_OR_RETURN(
      parts.ops, observe::OpsServer::Start({.listen = config.metrics_listen}, parts.registry,
                                           [&parts] { return parts.missing.load(); }));
  EAGLE_ASSIGN_OR_RETURN(parts.cache,
                         blob::BlobCache::Open({.directory = config.cache_dir,
                                                .limit = config.cache.limit,
                                                .min_free = config.cache.min_free,
                                                .min_free_percent = config.cache.min_free_percent,
                                                .free_bytes = nullptr},
                                               parts.clock));
  EAGLE_ASSIGN_OR_RETURN(parts.session, swarm::Session::Start(SessionOptionsOf(config)));
  parts.swarm = std::make_unique<SessionSwarm>(*parts.session, parts.cache->blobs_directory());
  parts.cache->SetEvictionHook(
      [swarm = parts.swarm.get()](const base::Digest& digest) { swarm->Remove(digest); });
  parts.client = std::make_unique<GrpcMetainfoClient>(config.seeders);
  parts.transfers = std::make_unique<LayerTransfers>(
      LayerTransfers::Options{.seeders = config.seeders,
                              .stall_timeout = config.p2p.stall_timeout,
                              .max_transfers = static_cast<std::size_t>(config.p2p.max_transfers)},
      LayerTransfers::Parts{
          .cache = *parts.cache,
          .swarm = *parts.swarm,
          .client = *parts.client,
          .clock = parts.clock,
          .metrics = parts.metrics,
          .strand = [&parts](std::function<void()> task) { parts.strand.Post(std::move(task)); },
          .disk = [&parts](std::function<void()> task) { parts.disk.Post(std::move(task)); }});
  parts.transfers->SeedCached();
  parts.ticker = std::jthread([transfers = parts.transfers.get()](const std::stop_token& stop) {
    TickUntilStopped(stop, *transfers);
  });
  parts.service = std::make_unique<NodeService>(*parts.transfers, *parts.cache);
  const std::string socket = config.listen.substr(kUnixPrefix.size());
  EAGLE_RETURN_IF_ERROR(
      base::MakeDirectories(std::filesystem::path(socket).parent_path().string()));
  EAGLE_ASSIGN_OR_RETURN(
      parts.server,
      rpc::Server::Start({.addresses = {config.listen}, .unix_mode = kSocketMode, .listen_fds = {}},
                         {parts.service.get()}));
  // Nothing takes it away again: lock of the cache and port of the session are held to the end.
  parts.missing = "";
  observe::Info("serving", "address", config.listen, "bittorrent_port", parts.session->port(),
                "metrics_port", parts.ops->port());
  return app;
}

SidecarApp::~SidecarApp() {
  Parts& parts = *parts_;
  parts.missing = "shutting down";
  if (parts.transfers != nullptr) parts.transfers->ShutDown();
  parts.server.reset();
  parts.ticker = {};
  parts.client.reset();
  parts.disk.Stop();
  parts.strand.Stop();
  // Hands out resume data, which the transfers write to the cache at once by now.
  parts.session.reset();
}

std::uint16_t SidecarApp::bittorrent_port() const {
  return parts_->session->port();
}

std::uint16_t SidecarApp::metrics_port() const {
  return parts_->ops->port();
}

}  // namespace eagle::sidecar
