#include "seeder/push_notification.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eagle::seeder {
namespace {

const std::string kDigest = base::Digest::Of("manifest").str();
constexpr char kManifest[] = "application/vnd.docker.distribution.manifest.v2+json";

std::string Names(const absl::StatusOr<std::vector<registry::ImageName>>& images) {
  if (!images.ok()) return images.status().ToString();
  std::string names;
  for (const registry::ImageName& image : *images) names += image.str() + ";";
  return names;
}

std::string Event(const std::string& action, const std::string& media_type, const std::string& tag,
                  const std::string& host = "registry.lab:5000") {
  return fmt::format(
      R"({{"id":"1","action":"{}","target":{{"mediaType":"{}","digest":"{}",
          "repository":"team/app","url":"http://10.0.0.1:5000/v2/team/app/manifests/x",
          "tag":"{}"}},"request":{{"host":"{}"}}}})",
      action, media_type, kDigest, tag, host);
}
std::string Envelope(const std::string& events) {
  return fmt::format(R"({{"events":[{}]}})", events);
}

TEST(DistributionEvents, APushedTagIsAnImage) {
  const std::string expected = "registry.lab/team/app:1@" + kDigest + ";";
  EXPECT_EQ(Names(ParseDistributionEvents(Envelope(Event("push", kManifest, "1")))), expected);
  EXPECT_EQ(Names(ParseDistributionEvents(
                Envelope(Event("push", kManifest, "1") + "," + Event("push", kManifest, "1")))),
            expected);
}

TEST(DistributionEvents, WhatIsNoPushOfATagIsNoImage) {
  EXPECT_EQ(Names(ParseDistributionEvents(Envelope(
                Event("pull", kManifest, "1") + "," + Event("push", kManifest, "") + "," +
                Event("push", "application/octet-stream", "1") + R"(,7,{"action":"push"})"))),
            "");
  EXPECT_EQ(Names(ParseDistributionEvents(Envelope(""))), "");
}

TEST(DistributionEvents, WithoutARequestTheUrlNamesTheHost) {
  EXPECT_EQ(Names(ParseDistributionEvents(Envelope(Event("push", kManifest, "1", "")))),
            "10.0.0.1/team/app:1@" + kDigest + ";");
  EXPECT_EQ(Names(ParseDistributionEvents(
                R"({"Events":[{"Action":"push","Target":{"MediaType":")" + std::string(kManifest) +
                R"(","Repository":"library/app","Url":"https://registry/v2/x","Tag":"2"}}]})")),
            "registry/library/app:2;");
}

TEST(DistributionEvents, RefusesWhatCouldNotBe) {
  std::string many = "7";
  for (std::size_t i = 0; i < kMaxNotifiedImages; ++i) many += ",7";
  for (const std::string& body :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"events":{}})"),
        Envelope(many), Envelope(Event("push", kManifest, "../x")),
        Envelope(Event("push", kManifest, "1", "user@registry.lab")),
        Envelope(Event("push", kManifest, "1", "registry.lab/evil"))}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDistributionEvents(body).status())) << body;
  }
}

TEST(HarborWebhook, BothFormatsOfAPush) {
  const std::string data = fmt::format(
      R"({{"resources":[{{"digest":"{}","tag":"1","resource_url":"harbor.lab/team/app:1"}},
          {{"digest":"{}","tag":"","resource_url":"harbor.lab/team/app@{}"}}],
          "repository":{{"name":"app","namespace":"team","repo_full_name":"team/app"}}}})",
      kDigest, kDigest, kDigest);
  const std::string expected = "harbor.lab/team/app:1@" + kDigest + ";";
  EXPECT_EQ(Names(ParseHarborWebhook(R"({"type":"PUSH_ARTIFACT","occur_at":1,"event_data":)" +
                                     data + "}")),
            expected);
  EXPECT_EQ(Names(ParseHarborWebhook(
                R"({"specversion":"1.0","type":"harbor.artifact.pushed","data":)" + data + "}")),
            expected);
  EXPECT_EQ(Names(ParseHarborWebhook(R"({"type":"DELETE_ARTIFACT","event_data":)" + data + "}")),
            "");
}

TEST(HarborWebhook, RefusesWhatCouldNotBe) {
  for (const char* body :
       {"", "{}", R"({"type":"PUSH_ARTIFACT"})", R"({"type":"PUSH_ARTIFACT","event_data":{}})",
        R"({"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"1"}]}})",
        R"({"type":"PUSH_ARTIFACT","event_data":{"resources":[
            {"tag":"1","digest":"x","resource_url":"harbor.lab/app:1"}]}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseHarborWebhook(body).status())) << body;
  }
}

TEST(PreheatCall, TheUrlOfAManifestIsAnImage) {
  const auto name = [](const std::string& url) {
    const auto image = ParsePreheatCall(fmt::format(
        R"({{"type":"image","url":"{}","headers":{{"Authorization":"Bearer x"}}}})", url));
    return image.ok() ? image->str() : std::string("refused");
  };
  EXPECT_EQ(name("https://harbor.lab/v2/team/app/manifests/1"), "harbor.lab/team/app:1");
  EXPECT_EQ(name("https://harbor.lab:8443/v2/team/app/manifests/" + kDigest),
            "harbor.lab/team/app@" + kDigest);
  EXPECT_EQ(name("https://harbor/v2/app/manifests/1"), "harbor/app:1");
  for (const char* url :
       {"", "harbor.lab/v2/app/manifests/1", "https://harbor.lab/v2/manifests/1",
        "https://harbor.lab/v2/app/blobs/1", "https://harbor.lab/x/v2/app/manifests/1",
        "https://user@harbor.lab/v2/app/manifests/1", "https:///v2/app/manifests/1",
        "https://harbor.lab/v2/app/manifests/", "https://harbor.lab/v2/app/manifests/1?x=y"}) {
    EXPECT_EQ(name(url), "refused") << url;
  }
  EXPECT_FALSE(ParsePreheatCall(R"({"type":"file","url":"https://a.b/v2/x/manifests/1"})").ok());
}

}  // namespace
}  // namespace eagle::seeder
