#include "tracker/reply.h"

#include <gtest/gtest.h>

#include "tracker/bencode_decode.h"

namespace eagle::tracker {
namespace {

PeerContact MakeContact(const std::string& address, std::uint16_t port) {
  PeerContact contact{.endpoint = {IpAddress::Parse(address).value(), port}, .id = {}};
  contact.id.fill('p');
  return contact;
}

AnnounceResult MakeResult() {
  AnnounceResult result;
  result.peers = {MakeContact("10.1.2.3", 0x1ae1), MakeContact("fd00::5", 80),
                  MakeContact("10.1.2.4", 1)};
  result.counts = {.seeds = 2, .leeches = 3, .completed = 1};
  result.interval = std::chrono::seconds(30);
  result.min_interval = std::chrono::seconds(5);
  return result;
}

TEST(Reply, CompactPeersAreSixAndEighteenBytes) {
  const auto reply = BencodeDecoder::Decode(EncodeAnnounce({}, MakeResult()));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ((*reply)["complete"].integer, 2);
  EXPECT_EQ((*reply)["incomplete"].integer, 3);
  EXPECT_EQ((*reply)["interval"].integer, 30);
  EXPECT_EQ((*reply)["min interval"].integer, 5);
  EXPECT_EQ((*reply)["peers"].string,
            std::string("\x0a\x01\x02\x03\x1a\xe1\x0a\x01\x02\x04\x00\x01", 12));
  EXPECT_EQ((*reply)["peers6"].string,
            std::string("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x50", 18));
  EXPECT_FALSE(reply->Has("warning message"));
}

TEST(Reply, WithoutIPv6PeersThereIsNoPeers6) {
  AnnounceResult result = MakeResult();
  result.peers.clear();
  const auto reply = BencodeDecoder::Decode(EncodeAnnounce({}, result));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ((*reply)["peers"].string, "");
  EXPECT_FALSE(reply->Has("peers6"));
}

TEST(Reply, TheLongFormListsBothFamilies) {
  AnnounceRequest request;
  request.compact = false;
  const auto reply = BencodeDecoder::Decode(EncodeAnnounce(request, MakeResult()));
  ASSERT_TRUE(reply.has_value());
  const auto& peers = (*reply)["peers"].list.value();
  ASSERT_EQ(peers.size(), 3U);
  EXPECT_EQ(peers[0]["ip"].string, "10.1.2.3");
  EXPECT_EQ(peers[0]["port"].integer, 0x1ae1);
  EXPECT_EQ(peers[0]["peer id"].string, std::string(20, 'p'));
  EXPECT_EQ(peers[1]["ip"].string, "fd00::5");
}

TEST(Reply, TheLongFormLeavesPeerIdsOutWhenAsked) {
  AnnounceRequest request;
  request.compact = false;
  request.no_peer_id = true;
  const auto reply = BencodeDecoder::Decode(EncodeAnnounce(request, MakeResult()));
  ASSERT_TRUE(reply.has_value());
  EXPECT_FALSE((*reply)["peers"].list.value()[0].Has("peer id"));
}

TEST(Reply, WarnsWhoIsNotListed) {
  AnnounceResult result = MakeResult();
  result.listed = false;
  const auto reply = BencodeDecoder::Decode(EncodeAnnounce({}, result));
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->Has("warning message"));
}

TEST(Reply, ScrapeHasAnEntryForEachHash) {
  std::map<InfoHash, SwarmCounts> files;
  files[InfoHash{1}] = {.seeds = 1, .leeches = 2, .completed = 3};
  files[InfoHash{0xff}] = {};
  const auto reply = BencodeDecoder::Decode(EncodeScrape(files));
  ASSERT_TRUE(reply.has_value());
  const auto& entry = (*reply)["files"][std::string("\x01") + std::string(19, '\0')];
  EXPECT_EQ(entry["complete"].integer, 1);
  EXPECT_EQ(entry["incomplete"].integer, 2);
  EXPECT_EQ(entry["downloaded"].integer, 3);
  EXPECT_EQ((*reply)["files"].dictionary->size(), 2U);
}

TEST(Reply, AFailureIsOneReason) {
  EXPECT_EQ(EncodeFailure("no"), "d14:failure reason2:noe");
}

}  // namespace
}  // namespace eagle::tracker
