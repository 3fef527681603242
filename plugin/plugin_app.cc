#include "plugin/plugin_app.h"

#include <atomic>
#include <filesystem>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/thread_pool.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/observe/ops_server.h"
#include "lib/process/systemd.h"
#include "lib/rpc/server.h"
#include "plugin/admin_service.h"
#include "plugin/apply/diff_service.h"
#include "plugin/apply/worker_client.h"
#include "plugin/content_service.h"
#include "plugin/content_store.h"
#include "plugin/hand_over.h"
#include "plugin/ingest_store.h"
#include "plugin/layer_fetcher.h"
#include "plugin/manifest_index.h"
#include "plugin/manifest_scan.h"
#include "plugin/p2p_control.h"
#include "plugin/plugin_metrics.h"
#include "plugin/policy.h"
#include "plugin/self_check.h"
#include "plugin/sidecar_client.h"
#include "plugin/source_finder.h"
#include "plugin/store_blobs.h"

namespace eagle::plugin {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
// containerd gives up a connection that waits in the socket's queue for a second (its client's
// first back-off is also its time-out to connect) and then fails calls for another one. Stop and
// start together have to be faster; whoever is in the middle of a stream loses it either way.
constexpr std::chrono::milliseconds kStopGrace{100};

// Sets `*socket_path` to where it can be reached.
absl::StatusOr<std::unique_ptr<rpc::Server>> Serve(const PluginConfig& config,
                                                   const std::vector<grpc::Service*>& services,
                                                   std::string* socket_path) {
  rpc::ServerOptions options;
  options.grace = kStopGrace;
  options.listen_fds = process::TakeListenFds();
  if (options.listen_fds.empty()) {
    *socket_path = config.listen.substr(kUnixPrefix.size());
    const std::filesystem::path path = *socket_path;
    EAGLE_RETURN_IF_ERROR(base::MakeDirectories(path.parent_path().string()));
    options.addresses = {config.listen};
  } else {
    *socket_path = BoundPath(options.listen_fds.front().get());
  }
  return rpc::Server::Start(std::move(options), services);
}

}  // namespace

struct PluginApp::Impl {
  Impl(const PluginConfig& config, std::unique_ptr<ContentStore> opened_store,
       std::unique_ptr<IngestStore> opened_ingests, Policy policy)
      : store(std::move(opened_store)),
        ingests(std::move(opened_ingests)),
        control(config),
        layers(control.options(),
               {.store = *store,
                .index = index,
                .metrics = metrics,
                .clock = clock,
                .disk_pool = lookup_pool,
                .hash_pool = hash_pool,
                .sources = std::make_unique<SourceFinder>(
                    SourceFinder::Options{.containerd_address = config.containerd_address}),
                .sidecar = std::make_unique<GrpcSidecarClient>(config.sidecar_address),
                .hand_over =
                    std::make_unique<HandOver>(HandOver::Options{.cache_dir = config.cache_dir}),
                .policy = std::move(policy)}),
        admin(control, layers, config.path) {
    control.Attach(layers);
  }

  ~Impl() {
    ops.reset();
    server.reset();
    stop_scan = true;
    if (scanner.joinable()) scanner.join();
  }

  base::SystemClock clock;
  observe::MetricsRegistry registry;
  PluginMetrics metrics{registry};
  ManifestIndex index;
  std::unique_ptr<ContentStore> store;
  std::unique_ptr<IngestStore> ingests;

  // Each kind of work has threads of its own, so that none waits behind a slower one. The pools of
  // the service go before the layers: their last tasks let go of tickets.
  base::ThreadPool lookup_pool{2};
  base::ThreadPool hash_pool{2};
  P2pControl control;
  LayerFetcher layers;
  AdminService admin;
  base::ThreadPool call_pool{4};
  base::ThreadPool bulk_pool{4};
  base::ThreadPool read_pool{4};

  // Unpacking, in worker processes.
  StoreBlobs blobs{*store};
  apply::WorkerClient applier{{}};
  apply::DiffService diff{
      blobs, applier, {.on_outcome = [this](const apply::ApplyOutcome& outcome) {
        if (!outcome.status.ok() && !absl::IsUnimplemented(outcome.status)) {
          observe::Warn("apply_failed", "layer", outcome.digest, "error",
                        base::Message(outcome.status));
        }
        metrics.LayerApplied(outcome.status, outcome.result.size_bytes, outcome.seconds);
      }}};

  std::unique_ptr<ContentService> service;
  std::string socket_path;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<observe::OpsServer> ops;
  std::atomic<bool> stop_scan = false;
  std::thread scanner;
};

PluginApp::PluginApp(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PluginApp::~PluginApp() = default;

absl::StatusOr<std::unique_ptr<PluginApp>> PluginApp::Start(const PluginConfig& config) {
  EAGLE_ASSIGN_OR_RETURN(const observe::Level level, observe::ParseLevel(config.log_level));
  observe::InitLog("plugin", level);
  EAGLE_ASSIGN_OR_RETURN(Policy policy, Policy::Create(config.p2p.allow, config.p2p.deny));
  EAGLE_ASSIGN_OR_RETURN(auto store, ContentStore::Open(config.root));
  EAGLE_ASSIGN_OR_RETURN(auto ingests, IngestStore::Open(*store));
  auto impl =
      std::make_unique<Impl>(config, std::move(store), std::move(ingests), std::move(policy));
  impl->service = std::make_unique<ContentService>(ContentParts{.store = *impl->store,
                                                                .ingests = *impl->ingests,
                                                                .index = impl->index,
                                                                .layers = impl->layers,
                                                                .metrics = impl->metrics,
                                                                .calls = impl->call_pool,
                                                                .bulk = impl->bulk_pool,
                                                                .reads = impl->read_pool});
  impl->metrics.CountIngests(impl->ingests->count());
  impl->scanner =
      std::thread([raw = impl.get()] { ScanManifests(*raw->store, raw->index, raw->stop_scan); });
  EAGLE_ASSIGN_OR_RETURN(
      impl->server,
      Serve(config, {impl->service.get(), &impl->diff, &impl->admin}, &impl->socket_path));
  EAGLE_ASSIGN_OR_RETURN(
      impl->ops, observe::OpsServer::Start({.listen = config.metrics_listen}, impl->registry,
                                           [] { return std::string(); }));
  return std::unique_ptr<PluginApp>(new PluginApp(std::move(impl)));
}

absl::Status PluginApp::Reload() {
  return impl_->control.Reload().status();
}

absl::Status PluginApp::CheckAlive(std::chrono::milliseconds patience) {
  return CallOwnSocket(impl_->socket_path, patience);
}

int PluginApp::metrics_port() const {
  return impl_->ops->port();
}

}  // namespace eagle::plugin
