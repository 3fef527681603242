// The S3 back end against s3rver, a real server process (make tools installs it). As that does not
// check signatures, a small front of ours does (testing/signed_front.py).
#include "seeder/ssi/s3_backend.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/file.h"
#include "lib/base/unique_fd.h"
#include "lib/registry/fake_registry.h"
#include "lib/testing/black_hole.h"
#include "lib/testing/own_network.h"
#include "lib/testing/program.h"
#include "lib/testing/temp_dir.h"
#include "seeder/ssi/backend_contract.h"
#include "seeder/ssi/xml_text.h"

namespace eagle::ssi {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint16_t kPort = 25000;
constexpr std::uint16_t kServerPort = 25001;
constexpr const char* kFront = EAGLE_SOURCE_DIR "/seeder/ssi/testing/signed_front.py";
constexpr const char* kServer = EAGLE_SOURCE_DIR "/build/tools/s3rver/node_modules/.bin/s3rver";

bool Answers(std::uint16_t port) {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

// One server for all tests, each of which has a prefix of its own in the bucket.
class Server {
 public:
  static bool Start() {
    static const Server server;
    return server.program_ != nullptr;
  }

 private:
  Server() {
    if (::access(kServer, X_OK) != 0) {
      std::cerr << kServer << " is not there; `make tools` installs it where npm can be had\n";
      return;
    }
    // It makes its continuation tokens with DES.
    ::setenv("NODE_OPTIONS", "--openssl-legacy-provider", 1);
    program_ = std::make_unique<testing::Program>(
        kServer, std::vector<std::string>{"--directory", dir_.path(), "--address", "127.0.0.1",
                                          "--port", std::to_string(kServerPort), "--silent",
                                          "--no-vhost-buckets", "--configure-bucket", "layers"});
    front_ = std::make_unique<testing::Program>(
        "/usr/bin/python3", std::vector<std::string>{kFront, "--listen", std::to_string(kPort),
                                                     "--upstream", std::to_string(kServerPort),
                                                     "--key", "S3RVER", "--secret", "S3RVER"});
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (!(Answers(kServerPort) && Answers(kPort)) && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(50));
    }
  }

  testing::TempDir dir_;
  std::unique_ptr<testing::Program> program_;
  std::unique_ptr<testing::Program> front_;
};

S3Options OptionsFor(const std::string& directory, const std::string& secret = "S3RVER") {
  const std::string file = directory + "/secret";
  EXPECT_TRUE(base::WriteFileAtomic(file, secret + "\n").ok());
  auto options = S3Options::Parse({{"endpoint", fmt::format("http://127.0.0.1:{}", kPort)},
                                   {"bucket", "layers"},
                                   {"prefix", directory.substr(directory.rfind('/') + 1) + "/"},
                                   {"access_key_id", "S3RVER"},
                                   {"secret_key_file", file}});
  EXPECT_TRUE(options.ok()) << options.status();
  options->part_size = base::MiB(5);
  return *std::move(options);
}

std::unique_ptr<Backend> OpenS3(const std::string& directory) {
  if (!Server::Start()) return nullptr;
  return std::make_unique<S3Backend>(OptionsFor(directory));
}

INSTANTIATE_TEST_SUITE_P(S3, BackendContract, ::testing::Values(BackendCase{"s3", OpenS3, true}));

class S3BackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Server::Start()) GTEST_SKIP() << kServer << " can not be had here";
  }
  testing::TempDir dir_;
};

TEST_F(S3BackendTest, AWrongKeyIsDeniedAndNotShown) {
  S3Backend backend(OptionsFor(dir_.path(), "wrong-secret"));
  const absl::Status status = backend.List("", [](const LayerInfo&) { return true; });
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("secret_key_file"));
  EXPECT_THAT(std::string(base::Message(status)), Not(HasSubstr("wrong-secret")));
  // A rotated one is read without a restart.
  ASSERT_TRUE(base::WriteFileAtomic(dir_.path() + "/secret", "S3RVER").ok());
  EXPECT_TRUE(backend.List("", [](const LayerInfo&) { return true; }).ok());
}

TEST_F(S3BackendTest, AMissingBucketIsNotFound) {
  S3Options options = OptionsFor(dir_.path());
  options.bucket = "elsewhere";
  S3Backend backend(std::move(options));
  const absl::Status status = backend.List("", [](const LayerInfo&) { return true; });
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("NoSuchBucket"));
}

TEST_F(S3BackendTest, ListsMoreThanAPage) {
  S3Options options = OptionsFor(dir_.path());
  options.page_size = 2;
  S3Backend backend(std::move(options));
  for (const char* id : {"la", "lb", "lc", "ld", "le"}) {
    auto upload = backend.Create(id, 1, "");
    ASSERT_TRUE(upload.ok()) << upload.status();
    ASSERT_TRUE((*upload)->Write("x").ok());
    ASSERT_TRUE((*upload)->Commit().ok());
  }
  std::string seen;
  const absl::Status status = backend.List("l", [&](const LayerInfo& info) {
    seen += info.id;
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(seen, "lalblcldle");
}

TEST(S3Retry, PassesOverTemporaryErrorsAndBrokenDownloads) {
  const testing::TempDir dir;
  const std::string data(1000, 'x');
  int asked = 0;
  registry::FakeRegistry server([&](const registry::FakeRequest& request) {
    registry::FakeReply reply;
    if (++asked == 1) {
      reply.status = 503;
    } else if (request.method == "HEAD") {
      reply.content_length = 1000;
    } else {
      reply = registry::FakeReply::Of(data, request);
      if (request.first() == 0) reply.cut_after = 400;
    }
    return reply;
  });
  S3Options options = OptionsFor(dir.path());
  options.endpoint = *registry::HttpUrl::Parse(server.url());
  options.retries.delay = std::chrono::milliseconds(1);
  S3Backend backend(std::move(options));
  std::string got;
  const absl::Status status = backend.Download("ab", 0, 1000, [&](std::string_view bytes) {
    got += bytes;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(got, data);
  EXPECT_EQ(server.requests().back().range, "bytes=400-999");
}

TEST(S3Stop, EndsACallThatWaits) {
  const testing::TempDir dir;
  const testing::BlackHole silent;
  S3Options options = OptionsFor(dir.path());
  options.endpoint = *registry::HttpUrl::Parse("http://" + silent.target());
  S3Backend backend(std::move(options));
  std::thread stopper([&] { backend.Stop(); });
  EXPECT_TRUE(absl::IsCancelled(backend.Stat("ab").status()));
  stopper.join();
  EXPECT_TRUE(absl::IsCancelled(backend.Create("ab", 1, "").status()));
}

TEST(S3Options, AreChecked) {
  const std::map<std::string, std::string> good{{"endpoint", "https://s3.example"},
                                                {"bucket", "b"},
                                                {"access_key_id", "id"},
                                                {"secret_key_file", "/secret"}};
  ASSERT_TRUE(S3Options::Parse(good).ok());
  for (const auto& [key, value] : std::map<std::string, std::string>{{"endpoint", "s3.example"},
                                                                     {"bucket", "a/b"},
                                                                     {"prefix", "/x"},
                                                                     {"region", "a b"},
                                                                     {"secret_key_file", "x"},
                                                                     {"path_style", "maybe"},
                                                                     {"colour", "red"},
                                                                     {"access_key_id", ""}}) {
    auto bad = good;
    bad[key] = value;
    const auto options = S3Options::Parse(bad);
    EXPECT_TRUE(absl::IsInvalidArgument(options.status())) << key;
    EXPECT_THAT(std::string(base::Message(options.status())), HasSubstr(key));
  }
}

TEST(S3Location, IsOfThePathOrOfTheHost) {
  auto options = S3Options::Parse({{"endpoint", "https://s3.example"},
                                   {"bucket", "b"},
                                   {"prefix", "p/"},
                                   {"access_key_id", "id"},
                                   {"secret_key_file", "/secret"}});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(S3Backend(*options).DataLocation("ab"), "https://s3.example/b/p/data/ab");
  options->path_style = false;
  EXPECT_EQ(S3Backend(*options).TorrentLocation("ab"), "https://b.s3.example/p/torrents/ab");
}

TEST(XmlText, ReadsWhatS3Answers) {
  const std::string xml = "<R x=\"1\"><K>a&amp;b&lt;</K><K></K><L>z</L><K>open";
  EXPECT_THAT(XmlTexts(xml, "K"), ElementsAre("a&b<", ""));
  EXPECT_EQ(XmlText(xml, "L"), "z");
  EXPECT_EQ(XmlText(xml, "M"), std::nullopt);
}

}  // namespace
}  // namespace eagle::ssi

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!eagle::testing::EnterOwnNetwork()) {
    std::cerr << "no network namespace here; port 25000 must be free\n";
  }
  return RUN_ALL_TESTS();
}
