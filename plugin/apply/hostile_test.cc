// Layers that want more than they may: whatever they try, nothing outside of the root changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "plugin/apply/testing/layer_test.h"
#include "plugin/apply/testing/tar_builder.h"
#include "plugin/apply/testing/tree_snapshot.h"

namespace eagle::apply {
namespace {

using testing::Gzip;
using testing::TarBuilder;
using testing::Zstd;
namespace fs = std::filesystem;

class HostileLayer : public testing::LayerTest {
 protected:
  HostileLayer() : outside_(Path("outside")) {
    fs::create_directories(outside_ + "/dir");
    std::ofstream(outside_ + "/secret") << "secret";
    std::ofstream(outside_ + "/dir/file") << "file";
    before_ = testing::SnapshotTree(outside_);
  }

  void TearDown() override {
    EXPECT_EQ(testing::Differences(before_, testing::SnapshotTree(outside_)),
              std::vector<std::string>());
  }

  // Whatever comes of it, in both kinds of mounts.
  void Try(const TarBuilder& builder) {
    for (const auto& mounts : {Overlay(), Bind()}) {
      (void)Apply(builder.Finish(), mounts);
      EXPECT_EQ(testing::Differences(before_, testing::SnapshotTree(outside_)),
                std::vector<std::string>());
      fs::remove_all(Path("upper"));
      fs::create_directory(Path("upper"));
    }
  }

  std::string outside_;
  testing::TreeSnapshot before_;
};

TEST_F(HostileLayer, NamesDoNotLeadOut) {
  Try(TarBuilder()
          .File("../outside/secret", "x")
          .File("../../../../../.." + outside_ + "/secret", "x")
          .File(outside_ + "/secret", "x")
          .File("a/../../outside/new", "x"));
}

TEST_F(HostileLayer, SymlinksDoNotLeadOut) {
  for (const std::string& target :
       {outside_, std::string("../outside"), std::string("../../../../../../../../") + outside_,
        std::string("/proc/self/root") + outside_, std::string("/proc/self/cwd"),
        std::string("/proc/1/root")}) {
    Try(TarBuilder()
            .Symlink("l", target)
            .File("l/secret", "x")
            .File("l/dir/file", "x")
            .File("l/new", "x")
            .Dir("l/newdir")
            .Symlink("l/newlink", "x")
            .Add({.type = '5', .name = "l/dir", .mode = 0777, .uid = 7})
            .Add({.type = '3', .name = "l/device", .major = 1, .minor = 3}));
    EXPECT_FALSE(fs::exists(outside_ + "/new"));
  }
}

TEST_F(HostileLayer, WriteThroughAnAbsoluteLinkStaysInside) {
  ApplyOk(TarBuilder().Symlink("l", outside_).File("l/new", "x").Finish(), Overlay());
  EXPECT_EQ(Content(Path("upper") + outside_ + "/new"), "x");
}

TEST_F(HostileLayer, WhiteoutsDoNotFollowLinksOut) {
  Try(TarBuilder()
          .Symlink("l", outside_)
          .Symlink("r", "../outside")
          .File("l/.wh.secret")
          .File("r/.wh.dir")
          .File("l/.wh..wh..opq")
          .File("r/.wh..wh..opq"));
}

TEST_F(HostileLayer, LinksThatAnEarlierLayerLeftDoNotLeadOut) {
  fs::create_symlink(outside_, Upper("l"));
  fs::create_symlink("../outside", Upper("r"));
  for (const auto& mounts : {Overlay(), Bind()}) {
    (void)Apply(TarBuilder().File("l/secret", "x").File("r/dir/file", "x").Finish(), mounts);
    (void)Apply(TarBuilder().File("l/.wh.secret").File("r/.wh..wh..opq").Finish(), mounts);
  }
  ApplyOk(TarBuilder().File(".wh.l").File(".wh.r").Finish(), Bind());
  EXPECT_FALSE(Exists(Upper("l")));
}

TEST_F(HostileLayer, LinksInLowerLayersDoNotLeadOut) {
  ASSERT_EQ(::chmod(Path("outside/dir").c_str(), 0711), 0);
  ASSERT_EQ(::chown(Path("outside/dir").c_str(), 4242, 0), 0);
  before_ = testing::SnapshotTree(outside_);
  fs::create_symlink(outside_, Path("lower2/l"));
  fs::create_symlink("../outside", Path("lower1/l"));
  ApplyOk(TarBuilder().File("l/dir/f").Finish(), Overlay());
  EXPECT_EQ(Stat(Upper("l/dir"))->st_uid, 0U) << "attributes of a folder of the host";
}

TEST_F(HostileLayer, HardLinksDoNotReachOut) {
  for (const std::string& target :
       {outside_ + "/secret", std::string("../outside/secret"), std::string("l/secret"),
        std::string("r/secret"), std::string("/proc/self/root") + outside_ + "/secret",
        std::string("x/../../outside/secret")}) {
    Try(TarBuilder()
            .Symlink("l", outside_)
            .Symlink("r", "../outside")
            .Add({.type = '1', .name = "h", .link = target, .mode = 0777, .uid = 7}));
  }
}

TEST_F(HostileLayer, HardLinkToASymlinkChangesNothingBehindIt) {
  Try(TarBuilder()
          .Symlink("s", outside_ + "/secret")
          .Add({.type = '1',
                .name = "h",
                .link = "s",
                .mode = 0777,
                .uid = 7,
                .pax = {{"SCHILY.xattr.user.x", "v"}}})
          .File("h", "x"));
}

TEST_F(HostileLayer, DirectoryThatBecomesALinkIsNoWayOut) {
  Try(TarBuilder()
          .Dir("d")
          .File("d/a", "x")
          .Symlink("d", outside_)
          .File("d/secret", "x")
          .File("d/dir/file", "x"));
  Try(TarBuilder()
          .Dir("d/dir")
          .File("d/dir/file", "x")
          .Symlink("d", "../outside")
          .File("d/dir/file", "y")
          .File("d/.wh.secret"));
}

TEST_F(HostileLayer, DirectoryTimesDoNotFollowALinkOut) {
  Try(TarBuilder()
          .Add({.type = '5', .name = "dir", .mtime = 5})
          .Symlink("dir", outside_ + "/dir")
          .Add({.type = '5', .name = "x/dir", .mtime = 5})
          .Symlink("x", "../outside"));
}

TEST_F(HostileLayer, OpaqueMarkerDoesNotMarkWhatALinkLeadsTo) {
  Try(TarBuilder().Symlink("l", outside_ + "/dir").File("l/.wh..wh..opq"));
  EXPECT_FALSE(Xattr(outside_ + "/dir", "trusted.overlay.opaque").has_value());
}

TEST_F(HostileLayer, FilesAreNeverWrittenIntoNodes) {
  // A file of the same name as a fifo, a device or a link replaces it instead of opening it.
  ApplyOk(TarBuilder()
              .Add({.type = '6', .name = "p"})
              .File("p", "file")
              .Add({.type = '3', .name = "c", .major = 1, .minor = 3})
              .File("c", "file")
              .Symlink("l", outside_ + "/secret")
              .File("l", "file")
              .Finish(),
          Overlay());
  for (const char* name : {"p", "c", "l"}) EXPECT_EQ(Content(Upper(name)), "file") << name;
}

TEST_F(HostileLayer, NamesThatAreTooLongOrHaveANulAreErrors) {
  EXPECT_FALSE(Apply(TarBuilder().File(std::string(256, 'n')).Finish(), Overlay()).ok());
  EXPECT_FALSE(Apply(TarBuilder().File(std::string(900'000, 'n')).Finish(), Overlay()).ok());
  std::string deep;
  for (int i = 0; i < 400'000; ++i) deep += "d/";
  EXPECT_FALSE(Apply(TarBuilder().File(deep + "f").Finish(), Overlay()).ok());
  EXPECT_FALSE(Apply(TarBuilder().Symlink("l", std::string(5000, 't')).Finish(), Overlay()).ok());
  EXPECT_FALSE(Apply(TarBuilder()
                         .Add({.name = "s",
                               .pax = {{"GNU.sparse.major", "0"},
                                       {"GNU.sparse.minor", "1"},
                                       {"GNU.sparse.numblocks", "0"},
                                       {"GNU.sparse.map", ""},
                                       {"GNU.sparse.name", std::string("a\0b", 3)}}})
                         .Finish(),
                     Overlay())
                   .ok());
}

TEST_F(HostileLayer, DeepTreesAreMadeAndRemovedWithFewDescriptors) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit low{300, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  std::string deep;
  for (int i = 0; i < 600; ++i) deep += "d/";
  ApplyOk(TarBuilder().File(deep + "f").File("d", "now a file").Finish(), Overlay());
  EXPECT_TRUE(S_ISREG(Mode(Upper("d"))));
  ApplyOk(TarBuilder().Symlink("l", "d").File("d").File(".wh.d").File("l/" + deep).Finish(),
          Bind());
  ApplyOk(TarBuilder().File(".wh.d").Finish(), Bind());
  EXPECT_FALSE(Exists(Upper("d")));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST_F(HostileLayer, LinksThatGrowThePathEndInAnError) {
  TarBuilder builder;
  for (int i = 0; i < 300; ++i) {
    builder.Symlink("l" + std::to_string(i), "l" + std::to_string(i + 1) + "/x/x/x");
  }
  EXPECT_FALSE(Apply(builder.File("l0/f").Finish(), Overlay()).ok());
  std::string far = "self/" + std::string(200, 'y') + "/" + std::string(200, 'z');
  EXPECT_FALSE(Apply(TarBuilder().Symlink("self", far).File("self/f").Finish(), Overlay()).ok());
}

TEST_F(HostileLayer, SparseBombTakesNoSpace) {
  const auto result = Apply(TarBuilder()
                                .Add({.name = "s",
                                      .data = "0\n" + std::string(510, '\0'),
                                      .pax = {{"GNU.sparse.major", "1"},
                                              {"GNU.sparse.minor", "0"},
                                              {"GNU.sparse.realsize", "1099511627776"}}})
                                .Finish(),
                            Overlay());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Stat(Upper("s"))->st_size, 1099511627776);
  EXPECT_EQ(Stat(Upper("s"))->st_blocks, 0);
  EXPECT_FALSE(Apply(TarBuilder()
                         .Add({.name = "t",
                               .data = "0\n" + std::string(510, '\0'),
                               .pax = {{"GNU.sparse.major", "1"},
                                       {"GNU.sparse.minor", "0"},
                                       {"GNU.sparse.realsize", "9223372036854775807"}}})
                         .Finish(),
                     Overlay())
                   .ok());
}

TEST_F(HostileLayer, BombsStopAtTheLimits) {
  const std::string zeros(50 << 20, '\0');
  const std::string bomb = TarBuilder().File("zeros", zeros).Finish();
  const auto code = [&](const std::string& blob, const ApplyLimits& limits) {
    return Apply(blob, ApplyRequest{.mounts = Overlay(), .limits = limits}).status().code();
  };
  for (const std::string& blob : {Gzip(bomb), Zstd(bomb)}) {
    EXPECT_EQ(code(blob, {.max_uncompressed_bytes = 10 << 20}),
              absl::StatusCode::kResourceExhausted);
    EXPECT_LT(Stat(Upper("zeros"))->st_size, 11 << 20);
    EXPECT_EQ(code(blob, {.max_ratio = 100, .ratio_free_bytes = 1 << 20}),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(code(blob, {}), absl::StatusCode::kOk);
  }
  EXPECT_EQ(code(TarBuilder().File("a").File("b").File("c").Finish(), {.max_entries = 2}),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(HostileLayer, ErrorsShowNamesWithoutControlCharacters) {
  const auto result = Apply(
      TarBuilder().Add({.type = 'Z', .name = "evil\n\x1b[31m" + std::string(500, 'x')}).Finish(),
      Overlay());
  const std::string message(base::Message(result.status()));
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 500U);
}

}  // namespace
}  // namespace eagle::apply
