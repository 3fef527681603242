#include "lib/swarm/session.h"

#include <fmt/format.h>

#include <exception>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/address.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/extensions/smart_ban.hpp>
#include <libtorrent/posix_disk_io.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_info.hpp>
#include <utility>

#include "lib/base/endpoint.h"
#include "lib/observe/log.h"
#include "lib/swarm/resume.h"
#include "lib/swarm/session_impl.h"
#include "lib/swarm/session_settings.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;

constexpr std::chrono::seconds kListenDeadline{5};
constexpr absl::Duration kRemoveDeadline = absl::Seconds(5);
constexpr std::chrono::milliseconds kAnnouncedWithin{250};
constexpr std::size_t kMostKnownPeers = 200;
// A download must not wait behind the fsync of another.
constexpr std::size_t kWorkers = 4;

std::vector<lt::tcp::endpoint> PeerEndpoints(const std::vector<std::string>& peers) {
  std::vector<lt::tcp::endpoint> endpoints;
  for (const std::string& peer : peers) {
    if (endpoints.size() == kMostKnownPeers) break;
    const auto parsed = base::Endpoint::Parse(peer);
    lt::error_code error;
    const lt::address address = parsed.ok() ? lt::make_address(parsed->host, error) : lt::address();
    if (!parsed.ok() || error || parsed->port == 0) {
      observe::Warn("known_peer_ignored", "peer", peer, "problem", "not ip:port");
      continue;
    }
    endpoints.emplace_back(address, parsed->port);
  }
  return endpoints;
}

}  // namespace

Session::Impl::Impl(SessionOptions options) : options_(std::move(options)), boot_id_(BootId()) {}

absl::Status Session::Impl::Start() {
  lt::session_params params(MakeSettings(options_), {});
  params.disk_io_constructor = lt::posix_disk_io_constructor;
  EAGLE_ASSIGN_OR_RETURN(params.ip_filter, MakePeerFilter(options_.peer_cidrs));
  try {
    session_ = std::make_unique<lt::session>(std::move(params));
    const auto global = 1U << static_cast<std::uint32_t>(lt::session::global_peer_class_id);
    session_->set_peer_class_filter(AllAddresses(global));
  } catch (const std::exception& error) {
    return absl::InternalError(fmt::format("start BitTorrent: {}", error.what()));
  }
  const std::string where = fmt::format("{} port {}", options_.listen_address, options_.port);
  const auto deadline = Clock::now() + kListenDeadline;
  bool listening = false;
  while (!listening) {
    const auto left = deadline - Clock::now();
    if (left <= left.zero() || session_->wait_for_alert(left) == nullptr) {
      return absl::UnavailableError(
          fmt::format("listen for BitTorrent on {}: not this host's address?", where));
    }
    std::vector<lt::alert*> alerts;
    session_->pop_alerts(&alerts);
    for (lt::alert* alert : alerts) {
      if (const auto* failed = lt::alert_cast<lt::listen_failed_alert>(alert)) {
        return absl::UnavailableError(
            fmt::format("listen for BitTorrent on {}: {}; free the port or change it", where,
                        failed->error.message()));
      }
      const auto* succeeded = lt::alert_cast<lt::listen_succeeded_alert>(alert);
      if (succeeded != nullptr && succeeded->socket_type == lt::socket_type_t::tcp) {
        port_ = static_cast<std::uint16_t>(succeeded->port);
        listening = true;
      }
    }
  }
  workers_ = std::make_unique<base::ThreadPool>(kWorkers);
  owner_ = std::thread([this] { Run(); });
  session_->set_alert_notify([this] { Wake(); });
  return absl::OkStatus();
}

Session::Impl::~Impl() {
  if (owner_.joinable()) {
    {
      absl::MutexLock lock(&wake_mutex_);
      stopping_ = true;
      awake_ = true;
    }
    owner_.join();
  }
  if (session_ == nullptr) return;
  session_->set_alert_notify([] {});
  workers_.reset();
  lt::session_proxy ending = session_->abort();
  session_.reset();
}

absl::StatusOr<Session::Impl::TorrentPtr> Session::Impl::Enter(const ParsedTorrent& parsed,
                                                               const TorrentFile& file) {
  absl::MutexLock lock(&mutex_);
  if (ids_.contains(parsed.summary.digest)) {
    return absl::AlreadyExistsError(
        fmt::format("{} is in the swarm already", parsed.summary.digest.str()));
  }
  auto torrent = std::make_shared<Torrent>(next_id_++, parsed.summary, file.directory);
  torrents_[torrent->id] = torrent;
  ids_[torrent->digest] = torrent->id;
  return torrent;
}

namespace {

absl::StatusOr<lt::add_torrent_params> MakeParams(const ParsedTorrent& parsed,
                                                  const TorrentFile& file,
                                                  const std::vector<std::string>& trackers) {
  const std::string metainfo = fmt::format("d4:info{}e", parsed.info);
  lt::error_code error;
  lt::add_torrent_params params;
  params.ti = std::make_shared<lt::torrent_info>(
      lt::span<char const>(metainfo.data(), static_cast<std::ptrdiff_t>(metainfo.size())), error,
      lt::from_span);
  if (error) {
    return absl::InvalidArgumentError(fmt::format("torrent: {}", error.message()));
  }
  params.save_path = file.directory;
  params.trackers = trackers;
  // A tier each: within a tier libtorrent forgets the others once one works.
  for (int tier = 0; tier < static_cast<int>(trackers.size()); ++tier) {
    params.tracker_tiers.push_back(tier);
  }
  params.flags = lt::torrent_flags::apply_ip_filter | lt::torrent_flags::duplicate_is_error |
                 lt::torrent_flags::disable_dht | lt::torrent_flags::disable_lsd |
                 lt::torrent_flags::disable_pex;
  params.extensions.emplace_back(lt::create_smart_ban_plugin);
  return params;
}

}  // namespace

absl::Status Session::Impl::Seed(const TorrentFile& file, std::function<void()> announced) {
  EAGLE_ASSIGN_OR_RETURN(const ParsedTorrent parsed, ParseMetainfo(file.metainfo));
  EAGLE_ASSIGN_OR_RETURN(lt::add_torrent_params params,
                         MakeParams(parsed, file, options_.trackers));
  EAGLE_ASSIGN_OR_RETURN(const TorrentPtr torrent, Enter(parsed, file));
  params.flags |= lt::torrent_flags::no_verify_files;
  params.have_pieces.resize(static_cast<int>(torrent->pieces.pieces()), true);
  Post([this, torrent, params = std::move(params), announced = std::move(announced)]() mutable {
    torrent->pieces.SetAll();
    torrent->complete = true;
    torrent->announced = std::move(announced);
    torrent->announced_by = Clock::now() + kAnnouncedWithin;
    AddToLibtorrent(torrent, std::move(params));
  });
  return absl::OkStatus();
}

absl::Status Session::Impl::Download(const TorrentFile& file, const std::string& resume_data,
                                     const std::vector<std::string>& peers,
                                     DownloadObserver* observer) {
  EAGLE_ASSIGN_OR_RETURN(const ParsedTorrent parsed, ParseMetainfo(file.metainfo));
  EAGLE_ASSIGN_OR_RETURN(lt::add_torrent_params params,
                         MakeParams(parsed, file, options_.trackers));
  params.peers = PeerEndpoints(peers);
  // Paused until its files are checked: resuming is what makes libtorrent dial known peers at once
  // instead of at its next one-second tick.
  params.flags |= lt::torrent_flags::paused;
  EAGLE_ASSIGN_OR_RETURN(const TorrentPtr torrent, Enter(parsed, file));
  torrent->observer = observer;
  workers_->Post([this, torrent, params = std::move(params), resume_data] {
    PrepareDownload(torrent, params, resume_data);
  });
  return absl::OkStatus();
}

void Session::Impl::PrepareDownload(const TorrentPtr& torrent, lt::add_torrent_params params,
                                    const std::string& resume_data) {
  auto resume = resume_data.empty() ? absl::StatusOr<ResumeState>(absl::NotFoundError("none"))
                                    : DecodeResume(resume_data);
  PieceMap pieces = torrent->pieces;
  if (resume.ok() && !pieces.SetBits(resume->bits)) {
    resume = absl::InvalidArgumentError("resume data are another layer's");
  }
  const auto start = PrepareFile(fmt::format("{}/{}", torrent->directory, torrent->digest.hex()),
                                 torrent->size_bytes, resume.ok() ? &*resume : nullptr, boot_id_);
  const bool trusted = start.ok() && *start == StartFrom::kPieces;
  if (trusted) {
    params.have_pieces.resize(static_cast<int>(pieces.pieces()), false);
    for (int piece = 0; piece < static_cast<int>(pieces.pieces()); ++piece) {
      if (pieces.Has(piece)) params.have_pieces.set_bit(lt::piece_index_t(piece));
    }
  }
  Post([this, torrent, params = std::move(params), pieces = std::move(pieces),
        resume = std::move(resume), start, trusted]() mutable {
    torrent->resume_saved_at = Clock::now();
    if (start.ok() && *start != StartFrom::kNothing) {
      torrent->resumed_from_peers = resume->from_peers;
      torrent->resumed_from_seeders = resume->from_seeders;
    }
    if (trusted) torrent->pieces = std::move(pieces);
    torrent->resume_saved_bytes = torrent->pieces.bytes();
    if (!start.ok()) {
      torrent->failure = start.status();
      OnRemoved(torrent);
      return;
    }
    AddToLibtorrent(torrent, std::move(params));
  });
}

void Session::Impl::Remove(const base::Digest& digest) {
  absl::MutexLock lock(&mutex_);
  const TorrentPtr torrent = FindDigest(digest);
  if (torrent == nullptr) return;
  if (!torrent->removing) {
    torrent->removing = true;
    if (torrent->handle.is_valid()) Drop(torrent->handle);
  }
  const auto gone = [this, id = torrent->id]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !torrents_.contains(id) && notifying_ != id;
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&gone), kRemoveDeadline)) {
    observe::Warn("torrent_removal_slow", "digest", digest.str());
    torrents_.erase(torrent->id);
    ids_.erase(digest);
    mutex_.Await(absl::Condition(&gone));
  }
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

absl::StatusOr<std::unique_ptr<Session>> Session::Start(const SessionOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  EAGLE_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

absl::Status Session::Seed(const TorrentFile& file, std::function<void()> announced) {
  return impl_->Seed(file, std::move(announced));
}

absl::Status Session::Download(const TorrentFile& file, const std::string& resume_data,
                               const std::vector<std::string>& peers, DownloadObserver* observer) {
  return impl_->Download(file, resume_data, peers, observer);
}

void Session::Remove(const base::Digest& digest) {
  impl_->Remove(digest);
}

bool Session::Has(const base::Digest& digest) const {
  absl::MutexLock lock(&impl_->mutex_);
  const auto torrent = impl_->FindDigest(digest);
  return torrent != nullptr && !torrent->removing;
}

SessionTotals Session::Totals() const {
  SessionTotals totals;
  totals.payload_uploaded_bytes = impl_->traffic_->uploaded;
  totals.payload_from_peers_bytes = impl_->traffic_->from_peers;
  totals.payload_from_seeders_bytes = impl_->traffic_->from_seeders;
  totals.peers = impl_->traffic_->peers;
  totals.hash_failures = impl_->hash_failures_;
  absl::MutexLock lock(&impl_->mutex_);
  totals.torrents = static_cast<int>(impl_->torrents_.size());
  return totals;
}

std::uint16_t Session::port() const {
  return impl_->port_;
}

}  // namespace eagle::swarm
