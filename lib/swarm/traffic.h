#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <libtorrent/client_data.hpp>
#include <libtorrent/fwd.hpp>
#include <memory>

namespace eagle::swarm {

/// Payload bytes and connections of a torrent or of a session. Written on libtorrent's thread, read
/// on any.
struct Traffic {
  std::atomic<std::int64_t> from_peers{0};
  std::atomic<std::int64_t> from_seeders{0};
  std::atomic<std::int64_t> uploaded{0};
  std::atomic<int> peers{0};
};

using TorrentExtension = std::function<std::shared_ptr<libtorrent::torrent_plugin>(
    libtorrent::torrent_handle const&, libtorrent::client_data_t)>;

/// A libtorrent extension that adds what each connection of a torrent moves to `torrent` and
/// `session`, by the peer id of the other side. It reads libtorrent's own counters of the
/// connection, for the last time when it ends, so the sums are libtorrent's, whatever peers come
/// and go.
TorrentExtension CountTraffic(std::shared_ptr<Traffic> torrent, std::shared_ptr<Traffic> session);

}  // namespace eagle::swarm
