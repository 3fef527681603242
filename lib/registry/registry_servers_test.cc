// The client against servers that are not ours: Debian's docker-registry and nginx.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/file.h"
#include "lib/registry/cutting_relay.h"
#include "lib/registry/registry_client_testing.h"
#include "lib/testing/own_network.h"
#include "lib/testing/program.h"
#include "lib/testing/temp_dir.h"

namespace eagle::registry {
namespace {

using ::testing::HasSubstr;

// In a network of their own (main), so that they disturb nobody.
constexpr std::uint16_t kRegistryPort = 24000;
constexpr std::uint16_t kFrontPort = 24001;
constexpr std::uint16_t kStorePort = 24002;
// bcrypt of "pass", the only form that docker-registry takes.
constexpr const char* kPasswords =
    "user:$2y$05$abcdefghijklmnopqrstuuZFBUbfXoM8LFiPx8LYlO/sXZB/Cwk3K\n";

bool Answers(std::uint16_t port) {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

void WaitFor(std::uint16_t port) {
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!Answers(port)) {
    if (absl::Now() > deadline) FAIL() << "nothing listens on port " << port;
    absl::SleepFor(absl::Milliseconds(20));
  }
}

class RegistryServersTest : public RegistryClientTest {
 protected:
  RegistryServersTest() {
    Put("library/app", blob_);
    origin_.endpoint = *HttpUrl::Parse(fmt::format("http://127.0.0.1:{}", kRegistryPort));
    origin_.name = "registry.lab";
    options_.retries.attempts = 1;
  }

  // As docker-registry's file system driver has it.
  void Put(const std::string& repository, const std::string& blob) {
    const base::Digest digest = base::Digest::Of(blob);
    const std::string root = storage_ + "/docker/registry/v2";
    const std::string data =
        fmt::format("{}/blobs/sha256/{}/{}", root, digest.hex().substr(0, 2), digest.hex());
    const std::string link =
        fmt::format("{}/repositories/{}/_layers/sha256/{}", root, repository, digest.hex());
    ASSERT_TRUE(base::MakeDirectories(data).ok());
    ASSERT_TRUE(base::MakeDirectories(link).ok());
    Write(data + "/data", blob);
    Write(link + "/link", digest.str());
  }
  static void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(base::WriteFileAtomic(path, text).ok()) << path;
  }
  [[nodiscard]] std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }

  // `more` are lines for the configuration: of `http` when indented by two, else top level.
  void StartRegistry(const std::string& more = "") {
    Write(Path("registry.yml"), fmt::format(R"(version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {}}}
http:
  addr: 127.0.0.1:{}
  secret: x
{})",
                                            storage_, kRegistryPort, more));
    server_ = std::make_unique<testing::Program>(
        "/usr/bin/docker-registry", std::vector<std::string>{"serve", Path("registry.yml")});
    WaitFor(kRegistryPort);
  }
  void StartWithPasswords() {
    Write(Path("htpasswd"), kPasswords);
    StartRegistry(fmt::format("auth:\n  htpasswd: {{realm: lab, path: {}}}\n", Path("htpasswd")));
  }
  void UsePassword(const std::string& password) {
    Write(Path("password"), password);
    origin_.credentials = {"user", Path("password"), ""};
  }

  // Runs openssl to its end, in the test's folder.
  void Openssl(std::vector<std::string> arguments) {
    testing::Program openssl("/usr/bin/openssl", std::move(arguments));
    ASSERT_EQ(openssl.Wait(), 0) << openssl.output();
  }
  // A key and a certificate of its own, which may sign others.
  void MakeAuthority(const std::string& name) {
    Openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
             "-keyout", Path(name + ".key"), "-out", Path(name + ".pem")});
  }
  // A certificate for 127.0.0.1 that `authority` has signed.
  void MakeCertificate(const std::string& name, const std::string& authority, int days = 2) {
    Write(Path("san"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
    Openssl({"req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout",
             Path(name + ".key"), "-out", Path(name + ".csr")});
    Openssl({"x509", "-req", "-in", Path(name + ".csr"), "-CA", Path(authority + ".pem"), "-CAkey",
             Path(authority + ".key"), "-CAcreateserial", "-days", std::to_string(days), "-extfile",
             Path("san"), "-out", Path(name + ".pem")});
  }

  void ExpectTheBlob() {
    sink_.content.clear();
    const absl::Status status = Fetch();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(sink_.content == blob_);
  }

  testing::TempDir dir_;
  const std::string storage_ = dir_.path() + "/storage";
  std::unique_ptr<testing::Program> server_;
};

TEST_F(RegistryServersTest, AnOpenRegistryGivesWholeLayersAndParts) {
  StartRegistry();
  ExpectTheBlob();
  client_.reset();
  options_.large_blob = base::MiB(1);
  options_.part_size = base::ByteSize{300'000};
  size_bytes_ = static_cast<std::int64_t>(blob_.size());
  ExpectTheBlob();
  repositories_ = {"library/other"};
  FetchError(absl::StatusCode::kNotFound);
  repositories_ = {"library/other", "library/app"};
  ExpectTheBlob();
}

TEST_F(RegistryServersTest, APasswordOpensOneWithHtpasswd) {
  StartWithPasswords();
  FetchError(absl::StatusCode::kPermissionDenied);
  UsePassword("wrong");
  FetchError(absl::StatusCode::kPermissionDenied);
  // The right one is found without a restart.
  UsePassword("pass");
  ExpectTheBlob();
}

TEST_F(RegistryServersTest, ADockerConfigOpensOneWithHtpasswd) {
  StartWithPasswords();
  Write(Path("config.json"), fmt::format(R"({{"auths":{{"127.0.0.1:{}":{{"auth":"{}"}}}}}})",
                                         kRegistryPort, absl::Base64Escape("user:pass")));
  origin_.credentials.docker_config = Path("config.json");
  ExpectTheBlob();
}

// docker-registry with a token server as docker distribution specifies it: anybody may pull from
// public/..., "user" with "pass" from everything.
class TokenServerTest : public RegistryServersTest {
 protected:
  void SetUp() override {
    Put("public/app", blob_);
    MakeAuthority("signer");
    tokens_server_ = std::make_unique<FakeRegistry>(
        [this](const FakeRequest& request) { return GiveToken(request); });
    StartRegistry(fmt::format(
        "auth:\n  token: {{realm: {}/token, service: lab, issuer: eagle, rootcertbundle: {}}}\n",
        tokens_server_->url(), Path("signer.pem")));
    repositories_ = {"public/app"};
  }

  FakeReply GiveToken(const FakeRequest& request) {
    FakeReply reply;
    const std::string authorization = request.header("Authorization");
    const bool user = authorization == "Basic " + std::string(absl::Base64Escape("user:pass"));
    if (!authorization.empty() && !user) {
      reply.status = 401;
      return reply;
    }
    const std::string marker = "scope=repository%3A";
    const std::size_t begin = request.target.find(marker) + marker.size();
    std::string repository = request.target.substr(begin, request.target.find("%3Apull") - begin);
    repository.replace(repository.find("%2F"), 3, "/");
    auto access = nlohmann::json::array();
    if (user || repository.starts_with("public/")) {
      access.push_back({{"type", "repository"}, {"name", repository}, {"actions", {"pull"}}});
    }
    ++tokens_;
    reply.body = nlohmann::json{{"token", Sign(access)}, {"expires_in", 300}}.dump();
    return reply;
  }

  // A JWT, with the signer's certificate in it (RFC 7515, 4.1.6).
  std::string Sign(const nlohmann::json& access) {
    const absl::MutexLock held(&signing_);
    auto pem = *base::ReadFile(Path("signer.pem"));
    pem = pem.substr(pem.find('\n') + 1);
    pem.resize(pem.find("-----END"));
    std::erase(pem, '\n');
    const std::int64_t now = absl::ToUnixSeconds(absl::Now());
    const nlohmann::json header{{"typ", "JWT"}, {"alg", "RS256"}, {"x5c", {pem}}};
    const nlohmann::json claims{
        {"iss", "eagle"},    {"sub", ""},         {"aud", "lab"}, {"exp", now + token_seconds_},
        {"nbf", now - 3600}, {"iat", now - 3600}, {"jti", "1"},   {"access", access}};
    const std::string text = std::string(absl::WebSafeBase64Escape(header.dump())) + "." +
                             std::string(absl::WebSafeBase64Escape(claims.dump()));
    Write(Path("to-sign"), text);
    Openssl({"dgst", "-sha256", "-sign", Path("signer.key"), "-out", Path("signature"),
             Path("to-sign")});
    return text + "." + std::string(absl::WebSafeBase64Escape(*base::ReadFile(Path("signature"))));
  }

  absl::Mutex signing_;
  std::atomic<int> tokens_ = 0;
  std::atomic<std::int64_t> token_seconds_ = 300;
  std::unique_ptr<FakeRegistry> tokens_server_;
};

TEST_F(TokenServerTest, GivesAnonymousTokensForWhatIsPublic) {
  ExpectTheBlob();
  ExpectTheBlob();
  EXPECT_EQ(tokens_, 1);
  EXPECT_THAT(tokens_server_->requests()[0].target, HasSubstr("service=lab"));
}

TEST_F(TokenServerTest, ATokenWithoutTheScopeIsDenied) {
  repositories_ = {"library/app"};
  FetchError(absl::StatusCode::kPermissionDenied);
  repositories_ = {"library/app", "public/app"};
  ExpectTheBlob();
}

TEST_F(TokenServerTest, CredentialsOpenWhatIsPrivate) {
  repositories_ = {"library/app"};
  UsePassword("pass");
  ExpectTheBlob();
  client_.reset();
  UsePassword("wrong");
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied),
              HasSubstr("does not accept the credentials"));
}

TEST_F(TokenServerTest, ATokenIsRenewedBeforeItExpires) {
  ExpectTheBlob();
  clock_.Advance(std::chrono::seconds(271));
  ExpectTheBlob();
  EXPECT_EQ(tokens_, 2);
}

TEST_F(TokenServerTest, ATokenThatHasExpiredAtTheRegistryIsReplaced) {
  // docker-registry goes on taking a token for a minute after its end.
  token_seconds_ = -58;
  ExpectTheBlob();
  token_seconds_ = 300;
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (tokens_ == 1 && absl::Now() < deadline) {
    ExpectTheBlob();
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_EQ(tokens_, 2);
}

TEST_F(TokenServerTest, ManyFetchesShareOneToken) {
  client_ = std::make_unique<Client>(options_, proxies_, clock_);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([this] {
      StringSink sink;
      Cancellation never;
      const absl::Status status = client_->FetchBlob(
          origin_, {repositories_, base::Digest::Of(blob_), std::nullopt}, sink, never);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_TRUE(sink.content == blob_);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tokens_, 1);
}

// nginx before the registry sends layers off to another host, as object storage has it: a signed
// URL there, and a second way to prove oneself is an error.
class RedirectServerTest : public RegistryServersTest {
 protected:
  void SetUp() override {
    StartWithPasswords();
    std::string paths;
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      paths += fmt::format("  {}_temp_path {};\n", kind, Path(kind));
    }
    Write(Path("nginx.conf"), fmt::format(R"(daemon off;
master_process off;
pid {0}/nginx.pid;
error_log {0}/error.log;
events {{}}
http {{
  access_log off;
{1}
  server {{
    listen 127.0.0.1:{2};
    location ~ ^/v2/.*/blobs/sha256:(..)([0-9a-f]*)$ {{
      if ($http_authorization != "Basic dXNlcjpwYXNz") {{ return 401; }}
      add_header WWW-Authenticate 'Negotiate, Basic realm="front"' always;
      return 307 http://127.0.0.2:{3}/$1/$1$2/data?signature=good;
    }}
  }}
  server {{
    listen 127.0.0.2:{3};
    root {4}/docker/registry/v2/blobs/sha256;
    if ($http_authorization) {{ return 400; }}
    if ($arg_signature != good) {{ return 403; }}
  }}
}}
)",
                                          dir_.path(), paths, kFrontPort, kStorePort, storage_));
    nginx_ = std::make_unique<testing::Program>(
        "/usr/sbin/nginx", std::vector<std::string>{"-c", Path("nginx.conf"), "-p", dir_.path()});
    WaitFor(kFrontPort);
    origin_.endpoint = *HttpUrl::Parse(fmt::format("http://127.0.0.1:{}", kFrontPort));
    UsePassword("pass");
  }

  std::unique_ptr<testing::Program> nginx_;
};

TEST_F(RedirectServerTest, LayersComeFromTheOtherHostWithoutOurPassword) {
  origin_.redirect_hosts = {"127.0.0.2"};
  ExpectTheBlob();
  client_.reset();
  options_.large_blob = base::MiB(1);
  options_.part_size = base::ByteSize{300'000};
  size_bytes_ = static_cast<std::int64_t>(blob_.size());
  ExpectTheBlob();
}

TEST_F(RedirectServerTest, TheOtherHostMustBeAllowed) {
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied), HasSubstr("127.0.0.2"));
  // Any host means public addresses.
  origin_.redirect_hosts = {"*"};
  EXPECT_THAT(FetchError(absl::StatusCode::kPermissionDenied), HasSubstr("private network"));
}

class TlsServerTest : public RegistryServersTest {
 protected:
  void Start(const std::string& more = "", int days = 2) {
    MakeAuthority("ca");
    MakeCertificate("server", "ca", days);
    StartRegistry(fmt::format("  tls: {{certificate: {}, key: {}{}}}\n", Path("server.pem"),
                              Path("server.key"), more));
    origin_.endpoint = *HttpUrl::Parse(fmt::format("https://127.0.0.1:{}", kRegistryPort));
  }
};

TEST_F(TlsServerTest, AnOwnAuthorityMustBeNamed) {
  Start();
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("certificate"));
  origin_.tls.ca_file = Path("ca.pem");
  ExpectTheBlob();
  origin_.tls.ca_file = Path("none.pem");
  FetchError(absl::StatusCode::kUnavailable);
}

TEST_F(TlsServerTest, ACertificateForAnotherNameIsRefused) {
  Start();
  origin_.tls.ca_file = Path("ca.pem");
  origin_.endpoint.host = "localhost";
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("certificate"));
}

TEST_F(TlsServerTest, AnExpiredCertificateIsRefused) {
  Start("", 0);
  origin_.tls.ca_file = Path("ca.pem");
  EXPECT_THAT(FetchError(absl::StatusCode::kUnavailable), HasSubstr("certificate"));
}

TEST_F(TlsServerTest, AClientShowsItsCertificate) {
  Start(fmt::format(", clientcas: [{}]", Path("ca.pem")));
  MakeCertificate("client", "ca");
  origin_.tls.ca_file = Path("ca.pem");
  FetchError(absl::StatusCode::kUnavailable);
  origin_.tls.certificate_file = Path("client.pem");
  origin_.tls.key_file = Path("client.key");
  ExpectTheBlob();
}

class CutTest : public RegistryServersTest {
 protected:
  void SetUp() override {
    StartRegistry();
    const char* given = std::getenv("EAGLE_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "EAGLE_SEED=" << seed << "\n";
    relay_ = std::make_unique<CuttingRelay>(kRegistryPort, seed, 400'000);
    origin_.endpoint = *HttpUrl::Parse(fmt::format("http://127.0.0.1:{}", relay_->port()));
    options_.retries.attempts = 100;
  }

  std::unique_ptr<CuttingRelay> relay_;
};

TEST_F(CutTest, ConnectionsThatBreakAnywhereCostNothingButTime) {
  ExpectTheBlob();
  EXPECT_EQ(sink_.begins, 1);
  // Each connection brings less than a seventh of it.
  EXPECT_GE(relay_->cuts(), 7);
}

TEST_F(CutTest, SoDoTheyForParts) {
  options_.large_blob = base::MiB(1);
  options_.part_size = base::ByteSize{300'000};
  size_bytes_ = static_cast<std::int64_t>(blob_.size());
  ExpectTheBlob();
  EXPECT_EQ(sink_.begins, 1);
  EXPECT_GE(relay_->cuts(), 7);
}

}  // namespace
}  // namespace eagle::registry

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!eagle::testing::EnterOwnNetwork()) {
    std::cerr << "no network namespace here; ports 24000 to 24002 must be free\n";
  }
  return RUN_ALL_TESTS();
}
