#include "tracker/reply.h"

#include "tracker/bencode.h"

namespace eagle::tracker {
namespace {

template <typename Bytes>
std::string_view AsText(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string CompactPeers(const std::vector<PeerContact>& peers, bool v4) {
  std::string out;
  for (const PeerContact& peer : peers) {
    if (peer.endpoint.address.is_v4() != v4) continue;
    out.append(peer.endpoint.address.bytes());
    out.push_back(static_cast<char>(peer.endpoint.port >> 8));
    out.push_back(static_cast<char>(peer.endpoint.port & 0xff));
  }
  return out;
}

void WritePeerList(const AnnounceRequest& request, const std::vector<PeerContact>& peers,
                   BencodeWriter* writer) {
  writer->BeginList();
  for (const PeerContact& peer : peers) {
    writer->BeginDictionary().String("ip").String(peer.endpoint.address.str());
    if (!request.no_peer_id) writer->String("peer id").String(AsText(peer.id));
    writer->String("port").Integer(peer.endpoint.port).End();
  }
  writer->End();
}

}  // namespace

std::string EncodeAnnounce(const AnnounceRequest& request, const AnnounceResult& result) {
  BencodeWriter writer;
  writer.BeginDictionary();
  writer.String("complete").Integer(static_cast<std::int64_t>(result.counts.seeds));
  writer.String("incomplete").Integer(static_cast<std::int64_t>(result.counts.leeches));
  writer.String("interval").Integer(result.interval.count());
  writer.String("min interval").Integer(result.min_interval.count());
  writer.String("peers");
  if (request.compact) {
    writer.String(CompactPeers(result.peers, true));
    const std::string v6 = CompactPeers(result.peers, false);
    if (!v6.empty()) writer.String("peers6").String(v6);
  } else {
    WritePeerList(request, result.peers, &writer);
  }
  if (!result.listed) {
    writer.String("warning message")
        .String(
            "this tracker is full (limits.peers, limits.peers_per_swarm): others are not told "
            "of you");
  }
  return writer.End().Take();
}

std::string EncodeScrape(const std::map<InfoHash, SwarmCounts>& files) {
  BencodeWriter writer;
  writer.BeginDictionary().String("files").BeginDictionary();
  for (const auto& [info_hash, counts] : files) {
    writer.String(AsText(info_hash)).BeginDictionary();
    writer.String("complete").Integer(static_cast<std::int64_t>(counts.seeds));
    writer.String("downloaded").Integer(static_cast<std::int64_t>(counts.completed));
    writer.String("incomplete").Integer(static_cast<std::int64_t>(counts.leeches));
    writer.End();
  }
  return writer.End().End().Take();
}

std::string EncodeFailure(std::string_view reason) {
  return BencodeWriter().BeginDictionary().String("failure reason").String(reason).End().Take();
}

}  // namespace eagle::tracker
