#include "tracker/tracker_service.h"

#include <algorithm>
#include <map>
#include <utility>

#include "lib/observe/log.h"
#include "tracker/reply.h"

namespace eagle::tracker {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";

HttpAnswer Bencoded(std::string body) {
  return {.status = 200, .content_type = "text/plain", .body = std::move(body)};
}

}  // namespace

TrackerService::TrackerService(SwarmTable& table, std::vector<Network> trusted,
                               TrackerMetrics& metrics, const base::Clock& clock)
    : table_(table), trusted_(std::move(trusted)), metrics_(metrics), clock_(clock) {}

HttpAnswer TrackerService::Handle(const HttpQuestion& question) {
  const std::size_t mark = question.target.find('?');
  const std::string_view path = question.target.substr(0, mark);
  const std::string_view query =
      mark == std::string_view::npos ? std::string_view() : question.target.substr(mark + 1);
  if (path != "/announce" && path != "/scrape") {
    metrics_.RequestFailed(Failure::kUnknownPath);
    return {.status = 404, .content_type = kText, .body = "try /announce or /scrape\n"};
  }
  if (question.method != "GET") {
    metrics_.RequestFailed(Failure::kBadMethod);
    return {.status = 405, .content_type = kText, .body = "only GET is answered here\n"};
  }
  return path == "/announce" ? Announce(query, question.client) : Scrape(query);
}

HttpAnswer TrackerService::Announce(std::string_view query, const IpAddress& client) {
  const auto start = clock_.Now();
  const auto request = ParseAnnounce(query);
  if (!request.ok()) return Fail(Failure::kBadRequest, request.status(), client);
  const auto address = AddressOf(*request, client);
  if (!address.ok()) return Fail(Failure::kBadRequest, address.status(), client);
  const auto result = table_.Announce(*request, *address);
  if (!result.ok()) return Fail(Failure::kSwarmLimit, result.status(), client);
  if (!result->listed) metrics_.RequestFailed(Failure::kPeerLimit);
  HttpAnswer answer = Bencoded(EncodeAnnounce(*request, *result));
  metrics_.TableChanged(table_.Totals());
  metrics_.AnnounceServed(request->event, result->peers.size(), clock_.Now() - start);
  observe::Debug("announce", "client", client.str(), "port", request->port, "seed", request->seed,
                 "handed_out", result->peers.size(), "seeds", result->counts.seeds, "leeches",
                 result->counts.leeches);
  return answer;
}

HttpAnswer TrackerService::Scrape(std::string_view query) {
  const auto hashes = ParseScrape(query);
  if (!hashes.ok()) return Fail(Failure::kBadRequest, hashes.status(), {});
  std::map<InfoHash, SwarmCounts> files;
  for (const InfoHash& hash : *hashes) files[hash] = table_.Scrape(hash);
  metrics_.ScrapeServed();
  return Bencoded(EncodeScrape(files));
}

HttpAnswer TrackerService::Fail(Failure failure, const absl::Status& status,
                                const IpAddress& client) {
  metrics_.RequestFailed(failure);
  observe::Debug("request_failed", "client", client.str(), "error", base::Message(status));
  return Bencoded(EncodeFailure(base::Message(status)));
}

absl::StatusOr<IpAddress> TrackerService::AddressOf(const AnnounceRequest& request,
                                                    const IpAddress& client) const {
  const bool trusted = std::any_of(trusted_.begin(), trusted_.end(), [&](const Network& network) {
    return network.Contains(client);
  });
  if (!trusted || request.stated_address.empty()) return client;
  const auto stated = IpAddress::Parse(request.stated_address);
  if (!stated.ok() || !stated->is_host()) {
    return absl::InvalidArgumentError("\"ip\" must be the IPv4 or IPv6 address of a host");
  }
  return *stated;
}

}  // namespace eagle::tracker
