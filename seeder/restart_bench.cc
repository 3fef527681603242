// How long a seeder takes from its start until every stored layer is seeded again.
//
//   seeder_restart_bench [LAYERS] [BYTES]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/registry/http_transfer.h"
#include "lib/swarm/torrent.h"
#include "lib/testing/own_network.h"
#include "lib/testing/temp_dir.h"
#include "seeder/file_storage.h"
#include "seeder/seeder_app.h"

namespace eagle::seeder {
namespace {

using Steady = std::chrono::steady_clock;

constexpr absl::Duration kPatience = absl::Minutes(2);

absl::Status Fill(const std::string& directory, int layers, std::size_t bytes) {
  const base::SystemClock clock;
  EAGLE_ASSIGN_OR_RETURN(const auto storage, FileStorage::Open(directory, base::GiB(100), clock));
  for (int i = 0; i < layers; ++i) {
    std::string layer(bytes, static_cast<char>(i));
    layer.replace(0, 8, fmt::format("{:08}", i));
    const auto digest = base::Digest::Of(layer);
    swarm::TorrentBuilder torrent(static_cast<std::int64_t>(bytes));
    torrent.Update(layer);
    EAGLE_ASSIGN_OR_RETURN(const std::string metainfo, torrent.Finish(digest));
    EAGLE_ASSIGN_OR_RETURN(
        const auto writer,
        storage->Create(digest, static_cast<std::int64_t>(bytes), "registry.lab/bench"));
    EAGLE_RETURN_IF_ERROR(writer->Write(layer));
    EAGLE_RETURN_IF_ERROR(writer->Commit(metainfo));
  }
  return absl::OkStatus();
}

std::string MetricsOf(const SeederApp& app) {
  registry::HttpClient client;
  registry::Cancellation never;
  registry::HttpRequest request;
  request.url = {false, "127.0.0.1", app.metrics_port(), "/metrics"};
  request.reach = registry::Reach::kAnywhere;
  request.connect_timeout = request.stall_timeout = std::chrono::seconds(10);
  std::string page;
  request.on_head = [](const registry::ResponseHead& head) { return head.status == 200; };
  request.on_body = [&](std::string_view data) {
    page += data;
    return absl::OkStatus();
  };
  (void)client.Send(request, never);
  return page;
}

absl::Status Run(int layers, std::size_t bytes) {
  const testing::TempDir dir;
  EAGLE_RETURN_IF_ERROR(Fill(dir.path(), layers, bytes));
  SeederConfig config;
  config.listen = "127.0.0.1:0";
  config.metrics_listen = "127.0.0.1:0";
  config.data_dir = dir.path();
  config.bittorrent.listen_address = "127.0.0.1";
  config.storage.limit = base::GiB(100);
  const auto start = Steady::now();
  const auto since = [start] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - start).count();
  };
  EAGLE_ASSIGN_OR_RETURN(const auto app, SeederApp::Start(config));
  const auto answering = since();
  const absl::Time deadline = absl::Now() + kPatience;
  const std::string wanted = fmt::format("\neagle_seeder_torrents {}\n", layers);
  while (MetricsOf(*app).find(wanted) == std::string::npos) {
    if (absl::Now() > deadline) return absl::DeadlineExceededError("not all are seeded");
    absl::SleepFor(absl::Milliseconds(5));
  }
  std::cout << fmt::format("layers={} bytes_each={} answering_ms={} all_seeded_ms={}\n", layers,
                           bytes, answering, since());
  return absl::OkStatus();
}

}  // namespace
}  // namespace eagle::seeder

int main(int argc, char** argv) {
  if (!eagle::testing::EnterOwnNetwork()) {
    std::cerr << "no network namespace here; port 61008 must be free\n";
  }
  const int layers = argc > 1 ? std::atoi(argv[1]) : 1000;
  const auto bytes = static_cast<std::size_t>(argc > 2 ? std::atoll(argv[2]) : 64 << 10);
  const absl::Status status = eagle::seeder::Run(layers, bytes);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
