// Feeds request targets to the whole of the tracker behind HTTP.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/base/clock.h"
#include "tracker/bencode_decode.h"
#include "tracker/hand_out_policy.h"
#include "tracker/swarm_table.h"
#include "tracker/tracker_metrics.h"
#include "tracker/tracker_service.h"

namespace {

using namespace eagle::tracker;  // NOLINT(google-build-using-namespace): a program of one file

struct Tracker {
  eagle::base::SystemClock clock;
  RandomPolicy policy;
  SwarmTable table{{.max_swarms = 100, .max_peers_per_swarm = 100}, policy, clock};
  eagle::observe::MetricsRegistry registry;
  TrackerMetrics metrics{registry};
  TrackerService service{table, {Network::Parse("0.0.0.0/0").value()}, metrics, clock};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Tracker tracker;
  const std::string_view target(reinterpret_cast<const char*>(data), size);
  const IpAddress client(IpAddress::V4{10, 0, 0, static_cast<std::uint8_t>(size)});
  const HttpAnswer answer =
      tracker.service.Handle({.method = "GET", .target = target, .client = client});
  if (answer.status == 200 && !BencodeDecoder::Decode(answer.body)) std::abort();
  return 0;
}
