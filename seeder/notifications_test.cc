#include "seeder/notifications.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/base/file.h"
#include "lib/base/unique_fd.h"
#include "lib/observe/metrics.h"
#include "lib/testing/temp_dir.h"
#include "seeder/notification_server.h"

namespace eagle::seeder {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kSecret[] = "Bearer s3cret";
constexpr char kPush[] =
    R"({"events":[{"action":"push","target":{"tag":"1","repository":"app",
       "mediaType":"application/vnd.oci.image.manifest.v1+json"},
       "request":{"host":"registry.lab"}}]})";

// Images are queued and never done.
class NotificationsTest : public ::testing::Test {
 protected:
  NotificationsTest() {
    Write("secret", std::string(kSecret) + "\n");
    Write("password", "pass\n");
    Preheater::Options options;
    options.max_queued = 2;
    preheater_ = std::make_unique<Preheater>(
        options,
        [](const registry::ImageName&, const std::vector<registry::Platform>&,
           const ImageProgressCallback&, registry::Cancellation& cancellation) {
          while (cancellation.Sleep(std::chrono::hours(1))) {
          }
          return absl::CancelledError("stopped");
        },
        [](const std::string& registry) {
          return registry == "registry.lab" ? absl::OkStatus() : absl::PermissionDeniedError("no");
        },
        metrics_);
    notifications_ = std::make_unique<Notifications>(
        *preheater_,
        NotificationSecrets{dir_.path() + "/secret", "user", dir_.path() + "/password"});
  }

  void Write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(base::WriteFileAtomic(dir_.path() + "/" + name, text).ok());
  }
  int Admit(const std::string& method, const std::string& path, const std::string& authorization) {
    return notifications_->Admit({method, path, authorization}).status;
  }
  NotificationAnswer Post(const std::string& path, const std::string& body) {
    return notifications_->Answer({"POST", path, ""}, body);
  }
  static std::string Call(const std::string& image) {
    return fmt::format(R"({{"type":"image","url":"https://{}/v2/app/manifests/1"}})", image);
  }

  testing::TempDir dir_;
  observe::MetricsRegistry registry_;
  SeederMetrics metrics_{registry_};
  std::unique_ptr<Preheater> preheater_;
  std::unique_ptr<Notifications> notifications_;
};

TEST_F(NotificationsTest, OnlyWhoHasASecretIsHeard) {
  const std::string path = "/registry/notifications";
  EXPECT_EQ(Admit("POST", path, kSecret), 200);
  EXPECT_EQ(Admit("POST", path, "Basic dXNlcjpwYXNz"), 200);
  for (const char* wrong : {"", "Bearer s3cre", "Bearer s3crets", "s3cret", "Basic dXNlcjpwYXN6"}) {
    EXPECT_EQ(Admit("POST", path, wrong), 401) << wrong;
  }
  EXPECT_EQ(Admit("GET", "/health", ""), 200);
  EXPECT_EQ(Admit("GET", "/preheats/x", ""), 401);

  Write("secret", "Bearer new\n");
  EXPECT_EQ(Admit("POST", path, kSecret), 401);
  EXPECT_EQ(Admit("POST", path, "Bearer new"), 200);
  // An empty or missing file lets nobody in.
  Write("secret", "\n");
  EXPECT_EQ(Admit("POST", path, ""), 401);
}

TEST_F(NotificationsTest, OtherPathsAndMethodsAreSaidSo) {
  EXPECT_EQ(Admit("POST", "/", kSecret), 404);
  EXPECT_EQ(Admit("GET", "/harbor/webhook", kSecret), 405);
  EXPECT_EQ(Admit("POST", "/preheats/x", kSecret), 405);
  EXPECT_EQ(Admit("POST", "/_ping", ""), 405);
}

TEST_F(NotificationsTest, APushIsQueuedAndWhatIsNotAllowedLeftOut) {
  const NotificationAnswer answer = Post("/registry/notifications", kPush);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{\"queued\": 1, \"refused\": 0}\n");
  EXPECT_EQ(preheater_->waiting(), 1);
  const NotificationAnswer other = Post("/harbor/webhook",
                                        R"({"type":"PUSH_ARTIFACT","event_data":{"resources":[
          {"tag":"2","resource_url":"registry.lab/app:2"},
          {"tag":"1","resource_url":"internal.corp/app:1"}]}})");
  EXPECT_EQ(other.body, "{\"queued\": 1, \"refused\": 1}\n");
  EXPECT_EQ(Post("/registry/notifications", "{").status, 400);
}

TEST_F(NotificationsTest, APreheatCallHasAnIdAndAState) {
  const NotificationAnswer answer = Post("/preheats", Call("registry.lab"));
  ASSERT_EQ(answer.status, 200);
  ASSERT_THAT(answer.body, StartsWith("{\"ID\":\""));
  const std::string id = answer.body.substr(7, answer.body.find('"', 7) - 7);
  const auto state = [&](const std::string& which) {
    return notifications_->Answer({"GET", "/preheats/" + which, ""}, "");
  };
  EXPECT_EQ(state(id).status, 200);
  EXPECT_EQ(state("unknown").status, 404);
  EXPECT_EQ(Post("/preheats", Call("internal.corp")).status, 403);
  EXPECT_EQ(Post("/preheats", "{}").status, 400);
  preheater_->Stop();
  EXPECT_THAT(state(id).body, HasSubstr("\"status\":\"FAIL\""));
}

TEST_F(NotificationsTest, AFullQueueIsTriedAgainLater) {
  ASSERT_TRUE(
      preheater_->Submit({*registry::ImageName::Parse("registry.lab/a"), {}}, nullptr).ok());
  ASSERT_TRUE(
      preheater_->Submit({*registry::ImageName::Parse("registry.lab/b"), {}}, nullptr).ok());
  EXPECT_EQ(Post("/registry/notifications", kPush).status, 503);
}

class NotificationServerTest : public NotificationsTest {
 protected:
  NotificationServerTest() {
    NotificationServerOptions options;
    options.listen = "127.0.0.1:0";
    options.max_body_bytes = 4096;
    auto server = NotificationServer::Start(options, *notifications_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  // Sends the text as it is; what comes back until the end.
  std::string Send(const std::string& text) {
    const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(server_->port());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) {
      answer.append(buffer, static_cast<std::size_t>(n));
    }
    return answer;
  }
  std::string SendPost(const std::string& path, const std::string& authorization,
                       const std::string& body, std::size_t length) {
    return Send(
        fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    path, authorization, length, body));
  }

  std::unique_ptr<NotificationServer> server_;
};

TEST_F(NotificationServerTest, APushIsAnsweredWithJson) {
  const std::string body = kPush;
  const std::string answer = SendPost("/registry/notifications?x=y", kSecret, body, body.size());
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("application/json"));
  EXPECT_THAT(answer, HasSubstr("{\"queued\": 1, \"refused\": 0}"));
}

TEST_F(NotificationServerTest, AWrongSecretIsRefusedBeforeTheBodyIsThere) {
  const std::string answer = SendPost("/registry/notifications", "wrong", "", 4000);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(answer, HasSubstr("WWW-Authenticate: Basic"));
}

TEST_F(NotificationServerTest, WhatIsTooLargeOrNotHttpIsSaidSo) {
  EXPECT_THAT(SendPost("/registry/notifications", kSecret, "", 5000), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Send("GET /health HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Send("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(NotificationServerTest, TheSameAddressTwiceIsAnError) {
  NotificationServerOptions options;
  options.listen = fmt::format("127.0.0.1:{}", server_->port());
  const auto second = NotificationServer::Start(options, *notifications_);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
}

}  // namespace
}  // namespace eagle::seeder
