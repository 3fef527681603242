#include "lib/swarm/session_settings.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <libtorrent/address.hpp>
#include <libtorrent/alert.hpp>
#include <libtorrent/fingerprint.hpp>
#include <string>
#include <utility>

#include "lib/observe/build_info.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;
using lt::settings_pack;

// Left for files, gRPC, HTTP and the index.
constexpr std::int64_t kReservedDescriptors = 256;
constexpr std::int64_t kFewestConnections = 32;
constexpr std::int64_t kMostConnections = 20'000;

int ConnectionsLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kFewestConnections);
  const std::int64_t descriptors =
      limit.rlim_cur > 1'000'000 ? 1'000'000 : static_cast<std::int64_t>(limit.rlim_cur);
  return static_cast<int>(
      std::clamp(descriptors - kReservedDescriptors, kFewestConnections, kMostConnections));
}

std::string PeerFingerprint(Role role) {
  int version[3] = {0, 0, 0};
  std::string_view text = observe::Version();
  for (int& part : version) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), part);
    if (error != std::errc{} || end == text.data() + text.size()) break;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  }
  const char* name = role == Role::kSeeder ? "ES" : "EN";
  return lt::generate_fingerprint(name, version[0], version[1], version[2], 0);
}

std::string WithPort(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

int Limit(base::ByteRate rate) {
  constexpr std::int64_t kLargest = 2'000'000'000;  // libtorrent counts in int
  return static_cast<int>(std::min(rate.bytes_per_second, kLargest));
}

void SetDiscovery(const SessionOptions& options, settings_pack* pack) {
  pack->set_bool(settings_pack::enable_dht, false);
  pack->set_bool(settings_pack::enable_lsd, false);
  pack->set_bool(settings_pack::enable_upnp, false);
  pack->set_bool(settings_pack::enable_natpmp, false);
  pack->set_bool(settings_pack::announce_to_all_trackers, true);
  pack->set_bool(settings_pack::announce_to_all_tiers, true);
  pack->set_int(settings_pack::min_announce_interval, 1);
  pack->set_int(settings_pack::tracker_backoff, 25);
  pack->set_int(settings_pack::tracker_completion_timeout, 10);
  pack->set_int(settings_pack::tracker_receive_timeout, 5);
  pack->set_int(settings_pack::stop_tracker_timeout, 1);
  pack->set_int(settings_pack::max_concurrent_http_announces, 250);
  pack->set_bool(settings_pack::apply_ip_filter_to_trackers, false);
  pack->set_str(settings_pack::announce_ip, options.announce_address);
}

void SetConnections(const SessionOptions& options, settings_pack* pack) {
  pack->set_str(settings_pack::listen_interfaces, WithPort(options.listen_address, options.port));
  if (options.listen_address != "0.0.0.0" && options.listen_address != "::") {
    pack->set_str(settings_pack::outgoing_interfaces, options.listen_address);
  }
  pack->set_bool(settings_pack::listen_system_port_fallback, false);
  pack->set_int(settings_pack::max_retry_port_bind, 0);
  pack->set_bool(settings_pack::enable_incoming_utp, false);
  pack->set_bool(settings_pack::enable_outgoing_utp, false);
  pack->set_int(settings_pack::out_enc_policy, settings_pack::pe_disabled);
  pack->set_int(settings_pack::in_enc_policy, settings_pack::pe_disabled);
  pack->set_int(settings_pack::connections_limit, ConnectionsLimit());
  pack->set_int(settings_pack::connection_speed, 200);
  pack->set_int(settings_pack::torrent_connect_boost, 100);
  pack->set_bool(settings_pack::allow_multiple_connections_per_ip,
                 options.allow_multiple_connections_per_ip);
  pack->set_int(settings_pack::peer_connect_timeout, 3);
  pack->set_int(settings_pack::handshake_timeout, 5);
  pack->set_int(settings_pack::min_reconnect_time, 2);
  pack->set_int(settings_pack::max_failcount, 20);
  pack->set_int(settings_pack::peer_dscp, 0);
  pack->set_str(settings_pack::peer_fingerprint, PeerFingerprint(options.role));
  pack->set_str(
      settings_pack::user_agent,
      observe::VersionLine(options.role == Role::kSeeder ? "eagle-seeder" : "eagle-sidecar"));
}

void SetTransfer(const SessionOptions& options, settings_pack* pack) {
  pack->set_int(settings_pack::request_queue_time, 1);
  pack->set_int(settings_pack::initial_picker_threshold, 0);
  pack->set_bool(settings_pack::strict_end_game_mode, true);
  pack->set_int(settings_pack::whole_pieces_threshold, 1);
  pack->set_int(settings_pack::unchoke_slots_limit, -1);
  pack->set_int(settings_pack::piece_timeout, 5);
  pack->set_int(settings_pack::request_timeout, 10);
  pack->set_int(settings_pack::upload_rate_limit, Limit(options.upload_limit));
  pack->set_int(settings_pack::download_rate_limit, Limit(options.download_limit));
  pack->set_bool(settings_pack::rate_limit_ip_overhead, true);
}

}  // namespace

settings_pack MakeSettings(const SessionOptions& options) {
  settings_pack pack;
  SetDiscovery(options, &pack);
  SetConnections(options, &pack);
  SetTransfer(options, &pack);
  pack.set_int(settings_pack::tick_interval, 100);
  pack.set_int(settings_pack::alert_queue_size, 100'000);
  pack.set_int(settings_pack::alert_mask, lt::alert_category::error | lt::alert_category::status |
                                              lt::alert_category::storage |
                                              lt::alert_category::piece_progress |
                                              lt::alert_category::tracker);
  return pack;
}

lt::ip_filter AllAddresses(std::uint32_t mark) {
  lt::ip_filter filter;
  filter.add_rule(lt::address_v4::any(), lt::address_v4::broadcast(), mark);
  filter.add_rule(lt::address_v6::any(),
                  lt::make_address_v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), mark);
  return filter;
}

namespace {

template <typename Bytes>
std::pair<Bytes, Bytes> Range(Bytes first, int prefix) {
  Bytes last = first;
  for (int bit = prefix; bit < static_cast<int>(first.size()) * 8; ++bit) {
    const auto mask = static_cast<unsigned char>(0x80U >> (bit % 8));
    first[bit / 8] = static_cast<unsigned char>(first[bit / 8] & ~mask);
    last[bit / 8] = static_cast<unsigned char>(last[bit / 8] | mask);
  }
  return {first, last};
}

absl::Status AllowCidr(const std::string& cidr, lt::ip_filter* filter) {
  const absl::Status bad = absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a network like 10.0.0.0/8 or fd00::/8", cidr));
  const std::size_t slash = cidr.find('/');
  if (slash == std::string::npos) return bad;
  lt::error_code error;
  const lt::address address = lt::make_address(cidr.substr(0, slash), error);
  if (error) return bad;
  int prefix = -1;
  const char* begin = cidr.data() + slash + 1;
  const char* end = cidr.data() + cidr.size();
  if (const auto parsed = std::from_chars(begin, end, prefix);
      parsed.ec != std::errc{} || parsed.ptr != end || prefix < 0) {
    return bad;
  }
  if (prefix > (address.is_v4() ? 32 : 128)) return bad;
  if (address.is_v4()) {
    const auto [first, last] = Range(address.to_v4().to_bytes(), prefix);
    filter->add_rule(lt::address_v4(first), lt::address_v4(last), 0);
  } else {
    const auto [first, last] = Range(address.to_v6().to_bytes(), prefix);
    filter->add_rule(lt::address_v6(first), lt::address_v6(last), 0);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<lt::ip_filter> MakePeerFilter(const std::vector<std::string>& cidrs) {
  if (cidrs.empty()) return lt::ip_filter();
  lt::ip_filter filter = AllAddresses(lt::ip_filter::blocked);
  for (const std::string& cidr : cidrs) EAGLE_RETURN_IF_ERROR(AllowCidr(cidr, &filter));
  return filter;
}

absl::Status CheckPeerCidrs(const std::vector<std::string>& cidrs) {
  return MakePeerFilter(cidrs).status();
}

}  // namespace eagle::swarm
