#include "lib/registry/credentials.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "lib/base/file.h"
#include "lib/registry/credential_helper.h"
#include "lib/testing/temp_dir.h"

namespace eagle::registry {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Base64(const std::string& text) {
  return absl::Base64Escape(text);
}

std::string UserOf(const DockerConfig& config, const CredentialQuery& query) {
  return config.Find(query).value_or(Credential()).username;
}

DockerConfig Parse(const std::string& text) {
  auto config = DockerConfig::Parse(text);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(DockerConfig());
}

// auths with one entry a key, the user being the key itself.
DockerConfig ConfigOf(const std::vector<std::string>& keys) {
  std::string auths;
  for (const std::string& key : keys) {
    auths += fmt::format("{}\"{}\":{{\"username\":\"{}\",\"password\":\"p\"}}",
                         auths.empty() ? "" : ",", key, key);
  }
  return Parse("{\"auths\":{" + auths + "}}");
}

TEST(DockerConfig, ReadsEveryFormOfACredential) {
  const DockerConfig config = Parse(fmt::format(
      R"({{"auths":{{"a":{{"auth":"{}"}},"b":{{"username":"u","password":"p:q"}},
      "c":{{"auth":"{}","identitytoken":"refresh"}},"d":{{"registrytoken":"ready"}},
      "e":{{}},"f":{{"auth":"!!"}},"g":7}}}})",
      Base64("user:pa:ss"), Base64("x:")));
  EXPECT_EQ(*config.Find({"a", 0, true, ""}), (Credential{"user", "pa:ss", "", ""}));
  EXPECT_EQ(*config.Find({"b", 0, true, ""}), (Credential{"u", "p:q", "", ""}));
  EXPECT_EQ(config.Find({"c", 0, true, ""})->refresh_token, "refresh");
  EXPECT_EQ(config.Find({"d", 0, true, ""})->registry_token, "ready");
  for (const char* nobody : {"e", "f", "g", "h"}) {
    EXPECT_FALSE(config.Find({nobody, 0, true, ""})) << nobody;
  }
}

TEST(DockerConfig, DockerPadsPasswordsWithNuls) {
  const DockerConfig config = Parse(
      fmt::format(R"({{"auths":{{"a":{{"auth":"{}"}}}}}})", Base64(std::string("u:p\0\0", 5))));
  EXPECT_EQ(config.Find({"a", 0, true, ""})->password, "p");
}

TEST(DockerConfig, KeysAreHostsWithPortsSchemesAndPaths) {
  const DockerConfig config =
      ConfigOf({"https://index.docker.io/v1/", "plain.example", "port.example:5000",
                "https://URL.example/v2/", "path.example/team/app", "path.example/team"});
  EXPECT_EQ(UserOf(config, {"docker.io", 0, true, "library/x"}), "https://index.docker.io/v1/");
  EXPECT_EQ(UserOf(config, {"plain.example", 443, true, "x"}), "plain.example");
  EXPECT_EQ(UserOf(config, {"plain.example", 8443, false, "x"}), "");
  EXPECT_EQ(UserOf(config, {"port.example", 5000, false, "x"}), "port.example:5000");
  EXPECT_EQ(UserOf(config, {"port.example", 443, true, "x"}), "");
  EXPECT_EQ(UserOf(config, {"url.example", 443, true, "x"}), "https://URL.example/v2/");
  EXPECT_EQ(UserOf(config, {"path.example", 443, true, "team/app"}), "path.example/team/app");
  EXPECT_EQ(UserOf(config, {"path.example", 443, true, "team/app/x"}), "path.example/team/app");
  EXPECT_EQ(UserOf(config, {"path.example", 443, true, "team/application"}), "path.example/team");
  EXPECT_EQ(UserOf(config, {"path.example", 443, true, "teams"}), "");
}

TEST(DockerConfig, StarsStandForPartsOfOneLabel) {
  const DockerConfig config =
      ConfigOf({"*.dkr.*.aws.example", "app*.k8s.example", "one.k8s.example"});
  EXPECT_EQ(UserOf(config, {"1.dkr.eu.aws.example", 443, true, ""}), "*.dkr.*.aws.example");
  EXPECT_EQ(UserOf(config, {"1.dkr.eu.west.aws.example", 443, true, ""}), "");
  EXPECT_EQ(UserOf(config, {"app7.k8s.example", 443, true, ""}), "app*.k8s.example");
  EXPECT_EQ(UserOf(config, {"one.k8s.example", 443, true, ""}), "one.k8s.example");
  EXPECT_EQ(UserOf(config, {"k8s.example", 443, true, ""}), "");
}

TEST(DockerConfig, NamesHelpers) {
  const DockerConfig config =
      Parse(R"({"credHelpers":{"a.example":"one","b.example":"../../evil"},"credsStore":"two"})");
  EXPECT_EQ(config.FindHelper({"a.example", 443, true, ""})->name, "one");
  EXPECT_EQ(config.FindHelper({"b.example", 443, true, ""})->name, "two");
  EXPECT_EQ(config.FindHelper({"c.example", 5000, false, ""})->server, "c.example:5000");
  EXPECT_EQ(config.FindHelper({"docker.io", 0, true, ""})->server, "https://index.docker.io/v1/");
  EXPECT_FALSE(Parse("{}").FindHelper({"a.example", 443, true, ""}));
}

TEST(DockerConfig, AnErrorDoesNotQuoteTheFile) {
  for (const char* bad : {"", "[]", "secret", "{\"auths\":{\"a\":{\"auth\":\"c2VjcmV0\"}}"}) {
    const auto config = DockerConfig::Parse(bad);
    ASSERT_FALSE(config.ok()) << bad;
    EXPECT_THAT(std::string(base::Message(config.status())), Not(HasSubstr("c2V")));
  }
}

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    origin_.endpoint = *HttpUrl::Parse("https://10.0.0.1:5000");
    origin_.name = "registry.lab";
    origin_.credentials.docker_config = path_;
  }
  void WriteConfig(const std::string& text) {
    ASSERT_TRUE(base::WriteFileAtomic(path_, text).ok());
  }
  // A helper of that name in a folder that is the whole PATH but for the system's.
  void WriteHelper(const std::string& name, const std::string& script) {
    const std::string file = dir_.path() + "/docker-credential-" + name;
    ASSERT_TRUE(base::WriteFileAtomic(file, "#!/bin/sh\n" + script, 0755).ok());
    ::setenv("PATH", (dir_.path() + ":/usr/bin:/bin").c_str(), 1);
  }
  absl::StatusOr<Credential> Find() { return credentials_.Find(origin_, "library/app", never_); }

  testing::TempDir dir_;
  const std::string path_ = dir_.path() + "/config.json";
  Origin origin_;
  Cancellation never_;
  Credentials credentials_{milliseconds(20'000)};
};

TEST_F(CredentialsTest, WithoutAnySourceThereAreNone) {
  origin_.credentials.docker_config = "";
  EXPECT_TRUE(Find()->empty());
}

TEST_F(CredentialsTest, TheEndpointsHostIsLookedUpBeforeTheName) {
  WriteConfig(R"({"auths":{"registry.lab":{"username":"name","password":"p"}}})");
  EXPECT_EQ(Find()->username, "name");
  WriteConfig(R"({"auths":{"registry.lab":{"username":"name","password":"p"},
                           "10.0.0.1:5000":{"username":"host","password":"p"}}})");
  EXPECT_EQ(Find()->username, "host");
}

TEST_F(CredentialsTest, AMirrorGetsOnlyItsOwn) {
  WriteConfig(R"({"auths":{"registry.lab":{"username":"name","password":"p"}}})");
  const Origin mirror = origin_.AtMirror(*HttpUrl::Parse("https://mirror.lab"));
  EXPECT_TRUE(credentials_.Find(mirror, "library/app", never_)->empty());
  origin_.credentials = {"user", path_, ""};
  EXPECT_TRUE(
      credentials_
          .Find(origin_.AtMirror(*HttpUrl::Parse("https://mirror.lab")), "library/app", never_)
          ->empty());
}

TEST_F(CredentialsTest, AChangedFileIsReadAgain) {
  WriteConfig(R"({"auths":{"registry.lab":{"username":"old","password":"p"}}})");
  EXPECT_EQ(Find()->username, "old");
  WriteConfig(R"({"auths":{"registry.lab":{"username":"new","password":"p"}}})");
  EXPECT_EQ(Find()->username, "new");
}

TEST_F(CredentialsTest, ABrokenFileIsNamedAndNotQuoted) {
  WriteConfig(R"({"auths":{"registry.lab":{"password":"secret")");
  const auto broken = Find();
  EXPECT_TRUE(absl::IsUnavailable(broken.status()));
  EXPECT_THAT(std::string(base::Message(broken.status())), HasSubstr(path_));
  EXPECT_THAT(std::string(base::Message(broken.status())), Not(HasSubstr("secret")));
  origin_.credentials.docker_config = dir_.path() + "/none";
  EXPECT_TRUE(absl::IsUnavailable(Find().status()));
}

TEST_F(CredentialsTest, APasswordIsTheFirstLineOfItsFile) {
  WriteConfig("pass word\nnot this\n");
  origin_.credentials = {"user", path_, ""};
  EXPECT_EQ(*Find(), (Credential{"user", "pass word", "", ""}));
  WriteConfig("rotated");
  EXPECT_EQ(Find()->password, "rotated");
}

TEST_F(CredentialsTest, AHelperIsAskedWithoutAShell) {
  WriteHelper("one",
              "[ \"$1\" = get ] || exit 1\nread server\n"
              "printf '{\"Username\":\"%s\",\"Secret\":\"s\"}' \"$server\"\n");
  WriteConfig(R"({"credHelpers":{"registry.lab":"one"}})");
  const auto credential = Find();
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_EQ(*credential, (Credential{"registry.lab", "s", "", ""}));
}

TEST_F(CredentialsTest, AHelpersTokenIsARefreshToken) {
  WriteHelper("two", "cat >/dev/null\necho '{\"Username\":\"<token>\",\"Secret\":\"refresh\"}'\n");
  WriteConfig(R"({"credsStore":"two"})");
  EXPECT_EQ(Find()->refresh_token, "refresh");
}

TEST_F(CredentialsTest, AHelperThatKnowsNothingLeavesItAnonymous) {
  WriteHelper("three", "echo 'credentials not found in native keychain'\nexit 1\n");
  WriteConfig(R"({"credsStore":"three"})");
  const auto credential = Find();
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_TRUE(credential->empty());
}

class CredentialHelperTest : public CredentialsTest {
 protected:
  absl::Status Ask(const std::string& name, milliseconds timeout) {
    return AskCredentialHelper({name, "registry.lab"}, timeout, never_).status();
  }
};

TEST_F(CredentialHelperTest, IsEndedAfterItsTimeWithAllItStarted) {
  // The child would keep the output open, and writes its id down for the test to look for.
  WriteHelper("slow", fmt::format("sleep 600 & echo $! > {}/child\nwait\n", dir_.path()));
  const absl::Status status = Ask("slow", milliseconds(1'000));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("docker-credential-slow"));
  const auto child = base::ReadFile(dir_.path() + "/child");
  ASSERT_TRUE(child.ok()) << child.status();
  const int pid = std::atoi(child->c_str());
  ASSERT_GT(pid, 0);
  // It is init's to reap then; a zombie is as dead.
  for (int i = 0; i < 1000; ++i) {
    const auto stat = base::ReadFile(fmt::format("/proc/{}/stat", pid));
    if (!stat.ok() || stat->find(") Z ") != std::string::npos) return;
    ::usleep(10'000);
  }
  ADD_FAILURE() << "the helper's child still runs";
}

TEST_F(CredentialHelperTest, MayNotWriteWithoutEnd) {
  WriteHelper("loud", "exec cat /dev/zero\n");
  EXPECT_THAT(std::string(base::Message(Ask("loud", milliseconds(60'000)))),
              HasSubstr("writes too much"));
}

TEST_F(CredentialHelperTest, AFailureDoesNotShowItsOutput) {
  WriteHelper("bad", "echo secret\nexit 3\n");
  const std::string failed(base::Message(Ask("bad", milliseconds(60'000))));
  EXPECT_THAT(failed, HasSubstr("exit code 3"));
  EXPECT_THAT(failed, Not(HasSubstr("secret")));
  WriteHelper("odd", "echo '{\"secret\":1}'\n");
  EXPECT_THAT(std::string(base::Message(Ask("odd", milliseconds(60'000)))),
              HasSubstr("no credential"));
  EXPECT_THAT(std::string(base::Message(Ask("none", milliseconds(60'000)))), HasSubstr("PATH"));
}

TEST_F(CredentialHelperTest, CancellationEndsIt) {
  WriteHelper("hung", "exec sleep 600\n");
  Cancellation cancelled;
  cancelled.Cancel();
  EXPECT_TRUE(absl::IsCancelled(
      AskCredentialHelper({"hung", "x"}, milliseconds(600'000), cancelled).status()));
}

}  // namespace
}  // namespace eagle::registry
