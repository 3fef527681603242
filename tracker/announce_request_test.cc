#include "tracker/announce_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eagle::tracker {
namespace {

using ::testing::HasSubstr;

const char kNeeded[] =
    "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-EN0001-bbbbbbbbbbbb&port=61007&left=5";

std::string Problem(const std::string& query) {
  const auto request = ParseAnnounce(query);
  return request.ok() ? "none" : std::string(base::Message(request.status()));
}

TEST(AnnounceRequest, ReadsWhatIsNeededAndFillsInTheRest) {
  const auto request = ParseAnnounce(kNeeded);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->info_hash[19], 'a');
  EXPECT_EQ(request->peer_id[0], '-');
  EXPECT_EQ(request->port, 61007);
  EXPECT_FALSE(request->seed);
  EXPECT_EQ(request->event, Event::kNone);
  EXPECT_FALSE(request->wanted.has_value());
  EXPECT_TRUE(request->compact);
  EXPECT_FALSE(request->no_peer_id);
  EXPECT_EQ(request->key, 0U);
  EXPECT_EQ(request->stated_address, "");
}

TEST(AnnounceRequest, ReadsTheUrlOfLibtorrent) {
  const auto request = ParseAnnounce(
      "info_hash=%124Vx%9a%bc%de%f1%23Eg%89%ab%cd%ef%124Vx%9a&peer_id=-LT2080-%28abc*def%21-kk"
      "&port=61008&uploaded=0&downloaded=0&left=0&corrupt=0&key=8F2C11AB&event=completed"
      "&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0&ip=10.0.0.7");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->info_hash[0], 0x12);
  EXPECT_EQ(request->info_hash[1], '4');
  EXPECT_EQ(request->peer_id[8], '(');
  EXPECT_TRUE(request->seed);
  EXPECT_EQ(request->event, Event::kCompleted);
  EXPECT_EQ(request->wanted, 200U);
  EXPECT_NE(request->key, 0U);
  EXPECT_TRUE(request->no_peer_id);
  EXPECT_EQ(request->stated_address, "10.0.0.7");
}

TEST(AnnounceRequest, IgnoresUnknownKeys) {
  EXPECT_EQ(Problem(std::string(kNeeded) + "&loc=eu/a/r1&loc=eu/b&trackerid=x&uploaded=junk"),
            "none");
}

TEST(AnnounceRequest, ReadsEveryEvent) {
  const auto event = [](const std::string& name) {
    return ParseAnnounce(std::string(kNeeded) + "&event=" + name).value().event;
  };
  EXPECT_EQ(event("started"), Event::kStarted);
  EXPECT_EQ(event("stopped"), Event::kStopped);
  EXPECT_EQ(event("completed"), Event::kCompleted);
  EXPECT_EQ(event(""), Event::kNone);
  EXPECT_EQ(event("paused"), Event::kNone);
}

TEST(AnnounceRequest, LeavesTheNumberToTheTrackerWhenItIsMinusOne) {
  EXPECT_FALSE(ParseAnnounce(std::string(kNeeded) + "&numwant=-1").value().wanted.has_value());
  EXPECT_EQ(ParseAnnounce(std::string(kNeeded) + "&numwant=0").value().wanted, 0U);
}

TEST(AnnounceRequest, TellsKeysApart) {
  const auto key = [](const std::string& text) {
    return ParseAnnounce(std::string(kNeeded) + "&key=" + text).value().key;
  };
  EXPECT_EQ(key("abc"), key("abc"));
  EXPECT_NE(key("abc"), key("abd"));
}

TEST(AnnounceRequest, SaysWhatIsMissing) {
  EXPECT_THAT(Problem(""), HasSubstr("\"info_hash\" is missing"));
  EXPECT_THAT(Problem("info_hash=aaaaaaaaaaaaaaaaaaaa"), HasSubstr("\"peer_id\" is missing"));
  EXPECT_THAT(Problem("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb"),
              HasSubstr("\"port\" is missing"));
  EXPECT_THAT(Problem("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1"),
              HasSubstr("\"left\" is missing"));
}

TEST(AnnounceRequest, SaysWhatIsWrong) {
  EXPECT_THAT(Problem("info_hash=aaa"), HasSubstr("must be 20 bytes, percent-encoded; it has 3"));
  EXPECT_THAT(Problem("info_hash=aaaaaaaaaaaaaaaaaaaaa"), HasSubstr("it has 21"));
  EXPECT_THAT(Problem("peer_id="), HasSubstr("\"peer_id\" must be 20 bytes"));
  EXPECT_THAT(Problem("port=0"), HasSubstr("\"port\" must be a number from 1 to 65535"));
  EXPECT_THAT(Problem("port=65536"), HasSubstr("\"port\""));
  EXPECT_THAT(Problem("port=-1"), HasSubstr("\"port\""));
  EXPECT_THAT(Problem("port=80x"), HasSubstr("\"port\""));
  EXPECT_THAT(Problem("left=-1"), HasSubstr("\"left\""));
  EXPECT_THAT(Problem("left="), HasSubstr("\"left\""));
  EXPECT_THAT(Problem("left=99999999999999999999999"), HasSubstr("\"left\""));
  EXPECT_THAT(Problem("event=begun"), HasSubstr("must be started, completed"));
  EXPECT_THAT(Problem("numwant=-2"), HasSubstr("\"numwant\""));
  EXPECT_THAT(Problem("numwant=many"), HasSubstr("\"numwant\""));
  EXPECT_THAT(Problem("compact=yes"), HasSubstr("\"compact\" must be 0 or 1"));
  EXPECT_THAT(Problem("no_peer_id=2"), HasSubstr("\"no_peer_id\" must be 0 or 1"));
  EXPECT_THAT(Problem("key=" + std::string(65, 'k')), HasSubstr("\"key\" is longer than 64"));
  EXPECT_THAT(Problem("port=1&port=2"), HasSubstr("\"port\" is given twice"));
  EXPECT_THAT(Problem("info_hash=%zz"), HasSubstr("two hex digits"));
}

TEST(ScrapeRequest, ReadsSeveralHashes) {
  const auto hashes =
      ParseScrape("info_hash=aaaaaaaaaaaaaaaaaaaa&x=y&info_hash=bbbbbbbbbbbbbbbbbbbb");
  ASSERT_TRUE(hashes.ok());
  ASSERT_EQ(hashes->size(), 2U);
  EXPECT_EQ(hashes->at(1)[0], 'b');
}

TEST(ScrapeRequest, NeedsAHash) {
  EXPECT_FALSE(ParseScrape("").ok());
  EXPECT_FALSE(ParseScrape("info_hash=short").ok());
}

}  // namespace
}  // namespace eagle::tracker
