#include "seeder/seeder_app.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/endpoint.h"
#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "seeder/ssi/backends.h"

namespace eagle::seeder {
namespace {

constexpr absl::Duration kObserveInterval = absl::Milliseconds(250);

registry::OriginTable TableOf(const SeederConfig& config) {
  registry::OriginTable table(config.allow_unlisted_origins);
  registry::Origin unlisted;
  unlisted.credentials.docker_config = config.docker_config;
  table.SetUnlisted(unlisted);
  for (auto [name, origin] : config.origins) {
    registry::CredentialSource& credentials = origin.credentials;
    if (credentials.username.empty() && credentials.docker_config.empty()) {
      credentials.docker_config = config.docker_config;
    }
    origin.name = name;
    table.Set(name, origin);
  }
  return table;
}

registry::ClientOptions ClientOptionsOf(const SeederConfig& config) {
  registry::ClientOptions options;
  options.connect_timeout = config.origin.connect_timeout;
  options.stall_timeout = config.origin.stall_timeout;
  options.retries.attempts = static_cast<int>(config.origin.attempts);
  options.max_blob_size = config.storage.max_layer_size;
  return options;
}

swarm::SessionOptions SessionOptionsOf(const SeederConfig& config) {
  swarm::SessionOptions options;
  options.role = swarm::Role::kSeeder;
  options.listen_address = config.bittorrent.listen_address;
  options.port = config.bittorrent.port;
  options.announce_address = config.bittorrent.announce_address;
  options.trackers = config.trackers;
  options.upload_limit = config.bittorrent.upload_limit;
  options.download_limit = config.bittorrent.download_limit;
  options.peer_cidrs = config.bittorrent.peer_cidrs;
  return options;
}

// The address that this seeder can tell of itself: the configured one, or that of `self`.
std::vector<std::string> OwnPeers(const SeederConfig& config, std::uint16_t port) {
  std::string address = config.bittorrent.announce_address;
  if (address.empty()) {
    const auto self = base::Endpoint::Parse(config.self);
    in6_addr ignored;
    if (self.ok() && (::inet_pton(AF_INET, self->host.c_str(), &ignored) == 1 ||
                      ::inet_pton(AF_INET6, self->host.c_str(), &ignored) == 1)) {
      address = self->host;
    }
  }
  if (address.empty()) return {};
  return {base::Endpoint{address, port}.str()};
}

}  // namespace

absl::StatusOr<std::unique_ptr<SeederApp>> SeederApp::Start(const SeederConfig& config) {
  std::unique_ptr<SeederApp> app(new SeederApp());
  EAGLE_RETURN_IF_ERROR(app->StartParts(config));
  return app;
}

absl::Status SeederApp::StartParts(const SeederConfig& config) {
  EAGLE_ASSIGN_OR_RETURN(ops_,
                         observe::OpsServer::Start({config.metrics_listen}, registry_, [this] {
                           return std::string(ready_ ? "" : "starting or stopping");
                         }));
  EAGLE_RETURN_IF_ERROR(base::MakeDirectories(config.data_dir));
  EAGLE_ASSIGN_OR_RETURN(storage_,
                         FileStorage::Open(config.data_dir, config.storage.limit, clock_));
  EAGLE_ASSIGN_OR_RETURN(auto session, swarm::Session::Start(SessionOptionsOf(config)));
  const std::uint16_t port = session->port();
  swarm_ = std::make_unique<SessionSwarm>(std::move(session), storage_->SwarmDirectory());
  uploads_ = std::make_unique<SecondUploads>(*storage_, *swarm_, config.storage.max_layer_size);
  EAGLE_RETURN_IF_ERROR(SeedStoredLayers());
  storage_->SetEvictionListener(this);

  origins_ = std::make_unique<RegistryOrigins>(TableOf(config), ClientOptionsOf(config),
                                               registry::Proxies::FromEnvironment(), clock_);
  EAGLE_RETURN_IF_ERROR(OpenTier(config));
  origin_ = std::make_unique<OriginFetch>(*origins_, *storage_, *swarm_, tier_.get(), metrics_);
  others_ = std::make_unique<GrpcOtherSeeders>(config.seeders);
  LayerFetchesOptions options;
  options.seeders = config.seeders;
  options.self = config.self;
  options.own_peers = OwnPeers(config, port);
  fetches_ = std::make_unique<LayerFetches>(std::move(options), *storage_, *origin_, *others_,
                                            *uploads_, metrics_, clock_);
  service_ = std::make_unique<MetaInfoService>(*fetches_, metrics_);
  rpc::ServerOptions server;
  server.addresses = {config.listen};
  EAGLE_ASSIGN_OR_RETURN(server_, rpc::Server::Start(std::move(server), {service_.get()}));
  EAGLE_RETURN_IF_ERROR(StartPreheater(config));
  EAGLE_RETURN_IF_ERROR(StartNotifications(config.notifications));
  EAGLE_RETURN_IF_ERROR(StartAdmin(config));
  observer_ = std::thread([this] { ObserveLoop(); });
  ready_ = true;
  return absl::OkStatus();
}

absl::Status SeederApp::StartPreheater(const SeederConfig& config) {
  Preheater::Options options;
  options.max_queued = static_cast<std::size_t>(config.preheat.queue);
  for (const std::string& text : config.preheat.platforms) {
    EAGLE_ASSIGN_OR_RETURN(auto platform, registry::Platform::Parse(text));
    options.platforms.push_back(std::move(platform));
  }
  images_ = std::make_unique<ImageFetch>(*origins_, *fetches_);
  preheater_ = std::make_unique<Preheater>(
      std::move(options),
      [this](const registry::ImageName& image, const std::vector<registry::Platform>& platforms,
             const ImageProgressCallback& progress, registry::Cancellation& cancellation) {
        return images_->Run(image, platforms, progress, cancellation);
      },
      [this](const std::string& registry) { return origins_->Allows(registry); }, metrics_);
  return absl::OkStatus();
}

absl::Status SeederApp::StartNotifications(const NotificationsConfig& config) {
  if (config.listen.empty()) return absl::OkStatus();
  notifications_ = std::make_unique<Notifications>(
      *preheater_, NotificationSecrets{config.secret_file, config.username, config.password_file});
  NotificationServerOptions options;
  options.listen = config.listen;
  EAGLE_ASSIGN_OR_RETURN(notification_server_, NotificationServer::Start(options, *notifications_));
  return absl::OkStatus();
}

absl::Status SeederApp::StartAdmin(const SeederConfig& config) {
  EAGLE_ASSIGN_OR_RETURN(pins_, LayerPins::Open(*storage_, config.data_dir + "/pins"));
  admin_ = std::make_unique<LayerAdmin>(*storage_, *swarm_, *pins_, tier_.get());
  admin_service_ =
      std::make_unique<SeederService>(*admin_, *pins_, *preheater_, *storage_, *swarm_);
  rpc::ServerOptions options;
  options.addresses = {config.admin_listen.empty()
                           ? fmt::format("unix:{}/admin.sock", config.data_dir)
                           : config.admin_listen};
  EAGLE_ASSIGN_OR_RETURN(admin_server_,
                         rpc::Server::Start(std::move(options), {admin_service_.get()}));
  return absl::OkStatus();
}

absl::Status SeederApp::OpenTier(const SeederConfig& config) {
  const StorageBackendConfig& backend = config.storage.backend;
  EAGLE_ASSIGN_OR_RETURN(auto opened, ssi::OpenBackend(backend.name, backend.options));
  if (opened == nullptr) return absl::OkStatus();
  tier_ =
      std::make_unique<DurableTier>(std::move(opened), *storage_, metrics_, DurableTier::Options());
  std::vector<base::Digest> stored;
  for (const StoredLayer& layer : storage_->List()) {
    if (layer.complete) stored.push_back(layer.digest);
  }
  tier_->KeepAll(stored);
  return absl::OkStatus();
}

absl::Status SeederApp::SeedStoredLayers() {
  std::int64_t seeded = 0;
  for (const StoredLayer& layer : storage_->List()) {
    if (layer.complete) {
      // Without a torrent it is made again once the layer is asked for.
      if (layer.metainfo.empty()) continue;
      if (const absl::Status status = swarm_->Seed(layer.metainfo, nullptr); status.ok()) {
        ++seeded;
      } else {
        observe::Warn("reseed_failed", "digest", layer.digest.str(), "error",
                      base::Message(status));
      }
    } else if (layer.metainfo.empty()) {
      EAGLE_RETURN_IF_ERROR(storage_->Remove(layer.digest));
    } else {
      uploads_->Resume(layer);
    }
  }
  observe::Info("stored_layers_seeded", "layers", seeded);
  return absl::OkStatus();
}

SeederApp::~SeederApp() {
  ready_ = false;
  if (server_ != nullptr) server_->SetServing(false);
  notification_server_.reset();
  if (preheater_ != nullptr) preheater_->Stop();
  if (fetches_ != nullptr) fetches_->Stop();
  if (tier_ != nullptr) tier_->Stop();
  server_.reset();
  service_.reset();
  admin_server_.reset();
  admin_service_.reset();
  if (observer_.joinable()) {
    {
      const absl::MutexLock held(&mutex_);
      stopping_ = true;
    }
    observer_.join();
  }
  preheater_.reset();
  fetches_.reset();
  if (swarm_ != nullptr) swarm_->Close();
  uploads_.reset();
  if (storage_ != nullptr) storage_->SetEvictionListener(nullptr);
}

void SeederApp::OnEviction(const base::Digest& digest) {
  swarm_->Remove(digest);
  observe::Info("layer_evicted", "digest", digest.str());
}

void SeederApp::ObserveOnce() {
  metrics_.ObserveSwarm(swarm_->Totals());
  metrics_.ObserveStorage(storage_->GetUsage());
}

void SeederApp::ObserveLoop() {
  while (true) {
    ObserveOnce();
    const absl::MutexLock held(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kObserveInterval)) return;
  }
}

}  // namespace eagle::seeder
