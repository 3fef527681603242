#include "tracker/tracker_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/testing/fake_clock.h"
#include "tracker/bencode_decode.h"

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;

class TrackerServiceTest : public ::testing::Test {
 protected:
  HttpAnswer Get(const std::string& target, const std::string& client = "10.0.0.1",
                 const std::string& method = "GET") {
    return service_.Handle(
        {.method = method, .target = target, .client = IpAddress::Parse(client).value()});
  }

  // The reply to an announce of peer `id` with more of the query.
  BencodeValue Announce(char id, const std::string& client, const std::string& more = "") {
    const HttpAnswer answer =
        Get("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=" + std::string(20, id) +
                "&port=1000&left=1" + more,
            client);
    EXPECT_EQ(answer.status, 200U);
    return BencodeDecoder::Decode(answer.body).value();
  }

  std::string Failure(const std::string& target) {
    const HttpAnswer answer = Get(target);
    EXPECT_EQ(answer.status, 200U);
    return BencodeDecoder::Decode(answer.body).value()["failure reason"].string.value();
  }

  testing::FakeClock clock_;
  RandomPolicy policy_;
  SwarmTable table_{{.max_swarms = 2}, policy_, clock_};
  observe::MetricsRegistry registry_;
  TrackerMetrics metrics_{registry_};
  TrackerService service_{
      table_,
      {Network::Parse("192.168.0.0/16").value(), Network::Parse("fd00::/8").value()},
      metrics_,
      clock_};
};

TEST_F(TrackerServiceTest, IntroducesPeersByTheAddressTheyAreSeenWith) {
  Announce('a', "10.0.0.1");
  EXPECT_EQ(Announce('b', "10.0.0.2")["peers"].string, std::string("\x0a\0\0\x01\x03\xe8", 6));
}

TEST_F(TrackerServiceTest, BelievesAStatedAddressOnlyOfTrustedClients) {
  Announce('a', "10.0.0.1", "&ip=172.16.0.9");
  Announce('b', "192.168.0.1", "&ip=172.16.0.8");
  Announce('c', "fd00::1", "&ip=2001:db8::8");
  Announce('d', "192.168.0.2");
  const auto peers = Announce('z', "10.9.9.9", "&compact=0")["peers"].list.value();
  std::vector<std::string> addresses;
  for (const BencodeValue& peer : peers) addresses.push_back(peer["ip"].string.value());
  EXPECT_THAT(addresses, ::testing::UnorderedElementsAre("10.0.0.1", "172.16.0.8", "2001:db8::8",
                                                         "192.168.0.2"));
}

TEST_F(TrackerServiceTest, ATrustedClientMustStateAHost) {
  for (const char* address : {"node-7", "0.0.0.0", "224.0.0.1", "1.2.3.4.5"}) {
    const BencodeValue reply = Announce('a', "192.168.0.1", std::string("&ip=") + address);
    EXPECT_THAT(reply["failure reason"].string.value(), HasSubstr("\"ip\"")) << address;
  }
  EXPECT_TRUE(Announce('a', "10.0.0.1", "&ip=node-7").Has("peers")) << "not trusted: ignored";
}

TEST_F(TrackerServiceTest, SaysWhatIsWrongInTheBody) {
  EXPECT_THAT(Failure("/announce"), HasSubstr("info_hash"));
  EXPECT_THAT(Failure("/announce?info_hash=%"), HasSubstr("hex digits"));
  EXPECT_THAT(Failure("/scrape"), HasSubstr("info_hash"));
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("eagle_tracker_failures_total{reason=\"bad_request\"} 3"));
}

TEST_F(TrackerServiceTest, SaysThatItIsFull) {
  const std::string rest = "&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1&left=1";
  Get("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa" + rest);
  Get("/announce?info_hash=bbbbbbbbbbbbbbbbbbbb" + rest);
  EXPECT_THAT(Failure("/announce?info_hash=cccccccccccccccccccc" + rest),
              HasSubstr("limits.swarms"));
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("eagle_tracker_failures_total{reason=\"swarm_limit\"} 1"));
}

TEST_F(TrackerServiceTest, ScrapesSeveralSwarmsKnownOrNot) {
  Announce('a', "10.0.0.1");
  const HttpAnswer answer =
      Get("/scrape?info_hash=xxxxxxxxxxxxxxxxxxxx&info_hash=aaaaaaaaaaaaaaaaaaaa");
  const auto reply = BencodeDecoder::Decode(answer.body);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ((*reply)["files"][std::string(20, 'a')]["incomplete"].integer, 1);
  EXPECT_EQ((*reply)["files"][std::string(20, 'x')]["incomplete"].integer, 0);
}

TEST_F(TrackerServiceTest, OtherPathsAndMethodsAreHttpErrors) {
  EXPECT_EQ(Get("/").status, 404U);
  EXPECT_EQ(Get("/announcement?x").status, 404U);
  EXPECT_EQ(Get("*").status, 404U);
  EXPECT_EQ(Get("/announce", "10.0.0.1", "POST").status, 405U);
}

TEST_F(TrackerServiceTest, CountsWhatItDoes) {
  Announce('a', "10.0.0.1", "&event=started");
  Announce('b', "10.0.0.2", "&event=started");
  Announce('c', "10.0.0.3");
  Announce('c', "10.0.0.3", "&event=stopped");
  Get("/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa");
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, HasSubstr("eagle_tracker_announces_total{event=\"started\"} 2"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_announces_total{event=\"none\"} 1"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_announces_total{event=\"stopped\"} 1"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_scrapes_total 1"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_peers_handed_out_total 3"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_swarms 1"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_peers{role=\"leech\"} 2"));
  EXPECT_THAT(text, HasSubstr("eagle_tracker_announce_duration_seconds_count 4"));
}

}  // namespace
}  // namespace eagle::tracker
