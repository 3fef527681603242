#include "lib/swarm/traffic.h"

#include <gtest/gtest.h>

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/session_stats.hpp>
#include <libtorrent/torrent_info.hpp>

#include "lib/swarm/session_fixture.h"
#include "lib/swarm/session_settings.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;

constexpr std::int64_t kMiB = 1 << 20;

/// What libtorrent itself counts, over all connections that there ever were.
std::int64_t LibtorrentCounts(lt::session* session, const char* metric) {
  session->post_session_stats();
  for (int tries = 0; tries < 1000; ++tries) {
    session->wait_for_alert(std::chrono::seconds(1));
    std::vector<lt::alert*> alerts;
    session->pop_alerts(&alerts);
    for (const lt::alert* alert : alerts) {
      if (const auto* stats = lt::alert_cast<lt::session_stats_alert>(alert)) {
        return stats->counters()[lt::find_metric_idx(metric)];
      }
    }
  }
  return -1;
}

TEST(Traffic, EqualsWhatLibtorrentCountsThoughPeersComeAndGo) {
  const Layer layer = MakeLayer(24 * kMiB);
  SessionOptions slow;
  slow.upload_limit = {4 * kMiB};
  auto seeder = std::make_unique<Host>("127.0.0.2", Role::kSeeder, slow);
  Host peer("127.0.0.4", Role::kNode, slow);
  seeder->Seed(layer);
  peer.Seed(layer);

  testing::TempDir dir;
  SessionOptions options;
  options.listen_address = "127.0.0.3";
  lt::session session(lt::session_params(MakeSettings(options), {}));
  const auto torrent = std::make_shared<Traffic>();
  const auto total = std::make_shared<Traffic>();
  lt::add_torrent_params params;
  params.ti = std::make_shared<lt::torrent_info>(layer.metainfo, lt::from_span);
  params.save_path = dir.path();
  params.flags = {};
  params.extensions.push_back(CountTraffic(torrent, total));
  for (const Host* host : {seeder.get(), &peer}) {
    params.peers.emplace_back(lt::make_address(host->options_.listen_address),
                              host->session->port());
  }
  const lt::torrent_handle handle = session.add_torrent(params);

  const auto wait_for = [&](const auto& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      session.wait_for_alert(std::chrono::milliseconds(50));
      std::vector<lt::alert*> alerts;
      session.pop_alerts(&alerts);
    }
    EXPECT_TRUE(condition());
  };
  wait_for([&] { return torrent->from_seeders > 2 * kMiB && torrent->from_peers > 2 * kMiB; });
  EXPECT_EQ(torrent->peers, 2);
  seeder.reset();  // cut off in the middle of a block
  wait_for([&] { return torrent->peers == 1; });
  wait_for([&] { return handle.status().is_seeding; });
  peer.session.reset();
  wait_for([&] { return torrent->peers == 0; });

  EXPECT_EQ(torrent->from_seeders + torrent->from_peers,
            LibtorrentCounts(&session, "net.recv_payload_bytes"));
  EXPECT_GE(torrent->from_seeders + torrent->from_peers, 24 * kMiB);
  EXPECT_EQ(total->from_seeders, torrent->from_seeders);
  EXPECT_EQ(total->from_peers, torrent->from_peers);
}

}  // namespace
}  // namespace eagle::swarm
