#include "lib/swarm/traffic.h"

#include <libtorrent/extensions.hpp>
#include <libtorrent/peer_connection.hpp>
#include <libtorrent/peer_connection_handle.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <string_view>
#include <utility>

#include "lib/swarm/session_settings.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;

struct Counters {
  std::shared_ptr<Traffic> torrent;
  std::shared_ptr<Traffic> session;
};

class PeerCounter final : public lt::peer_plugin {
 public:
  PeerCounter(Counters counters, lt::peer_connection_handle peer)
      : counters_(std::move(counters)), peer_(std::move(peer)) {}

  bool on_handshake(lt::span<char const>) override {
    if (std::exchange(connected_, true)) return true;
    AddPeers(1);
    // libtorrent starts a peer's statistics from those of its earlier connections.
    if (const auto connection = peer_.native_handle()) {
      received_ = connection->statistics().total_payload_download();
      sent_ = connection->statistics().total_payload_upload();
    }
    return true;
  }
  void on_disconnect(lt::error_code const&) override {
    Sync();
    if (std::exchange(connected_, false)) AddPeers(-1);
  }
  bool on_piece(lt::peer_request const&, lt::span<char const>) override {
    Sync();
    return false;
  }
  void sent_payload(int) override { Sync(); }
  void tick() override { Sync(); }

 private:
  void AddPeers(int count) {
    counters_.torrent->peers += count;
    counters_.session->peers += count;
  }

  void Sync() {
    const std::shared_ptr<lt::peer_connection> connection = peer_.native_handle();
    if (connection == nullptr || !connected_) return;
    const lt::stat& statistics = connection->statistics();
    if (const std::int64_t received = statistics.total_payload_download(); received > received_) {
      const lt::peer_id& id = peer_.pid();
      const bool seeder = std::string_view(id.data(), 3) == kSeederPeerId;
      const auto source = seeder ? &Traffic::from_seeders : &Traffic::from_peers;
      (*counters_.torrent).*source += received - received_;
      (*counters_.session).*source += received - received_;
      received_ = received;
    }
    if (const std::int64_t sent = statistics.total_payload_upload(); sent > sent_) {
      counters_.torrent->uploaded += sent - sent_;
      counters_.session->uploaded += sent - sent_;
      sent_ = sent;
    }
  }

  const Counters counters_;
  const lt::peer_connection_handle peer_;
  std::int64_t received_ = 0;
  std::int64_t sent_ = 0;
  bool connected_ = false;
};

class TorrentCounter final : public lt::torrent_plugin {
 public:
  explicit TorrentCounter(Counters counters) : counters_(std::move(counters)) {}

  std::shared_ptr<lt::peer_plugin> new_connection(lt::peer_connection_handle const& peer) override {
    return std::make_shared<PeerCounter>(counters_, peer);
  }

 private:
  const Counters counters_;
};

}  // namespace

TorrentExtension CountTraffic(std::shared_ptr<Traffic> torrent, std::shared_ptr<Traffic> session) {
  return [counters = Counters{std::move(torrent), std::move(session)}](
             lt::torrent_handle const&, lt::client_data_t) -> std::shared_ptr<lt::torrent_plugin> {
    return std::make_shared<TorrentCounter>(counters);
  };
}

}  // namespace eagle::swarm
