// One test or more for each rule of containerd's applier that README.md lists; the numbers are its.
// Here: the request, mounts, names and whiteouts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "plugin/apply/layer_target.h"
#include "plugin/apply/mount_options.h"
#include "plugin/apply/testing/layer_test.h"
#include "plugin/apply/testing/tar_builder.h"

namespace eagle::apply {
namespace {

using testing::Gzip;
using ::testing::HasSubstr;
using testing::TarBuilder;
namespace fs = std::filesystem;

class ApplyRules : public testing::LayerTest {};

TEST_F(ApplyRules, R01_ResultIsDigestAndSizeOfTheUncompressedStream) {
  const std::string tar = TarBuilder().File("a", "text").Finish();
  const auto result = Apply(Gzip(tar), Overlay());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->digest, base::Digest::Of(tar));
  EXPECT_EQ(result->size_bytes, static_cast<std::int64_t>(tar.size()));
  EXPECT_EQ(result->report.entries, 1);
}

TEST_F(ApplyRules, R05_LayerOfNoBytesIsEmpty) {
  const auto result = Apply("", Overlay());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->size_bytes, 0);
  EXPECT_EQ(result->digest, base::Digest::Of(""));
}

TEST_F(ApplyRules, R05_ArchiveOfAnUncompressedTypeIsNeverDecompressed) {
  const auto result = Apply(Gzip(TarBuilder().File("a").Finish()),
                            ApplyRequest{.compression = Compression::kNone, .mounts = Overlay()});
  EXPECT_FALSE(result.ok());
}

TEST_F(ApplyRules, R06_BytesAfterTheGzipStreamFailTheLayer) {
  EXPECT_EQ(Apply(Gzip(TarBuilder().File("a").Finish()) + "tail", Overlay()).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ApplyRules, R07_WhatFollowsTheArchiveIsInTheDigest) {
  const std::string tar = TarBuilder().File("a").Finish() + std::string(3'000'000, 'p');
  const auto result = Apply(Gzip(tar), Overlay());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->digest, base::Digest::Of(tar));
}

TEST_F(ApplyRules, R07_DamageBehindTheArchiveFailsTheLayer) {
  std::string blob = Gzip(TarBuilder().File("a").Finish() + std::string(3'000'000, 'p'));
  blob.resize(blob.size() - 1);
  EXPECT_EQ(Apply(blob, Overlay()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ApplyRules, R08_OverlayIsWrittenBelowTheMountWhateverItsOtherOptions) {
  std::vector<Mount> mounts = Overlay();
  mounts[0].options.insert(mounts[0].options.begin(),
                           {"index=off", "userxattr", "volatile", "nonsense=1"});
  ApplyOk(TarBuilder().File("a").File(".wh.gone").Finish(), mounts);
  EXPECT_TRUE(S_ISREG(Mode(Upper("a"))));
  EXPECT_TRUE(S_ISCHR(Mode(Upper("gone"))));
}

TEST_F(ApplyRules, R09_EverythingElseIsMountedAndUnmountedAgain) {
  const std::vector<Mount> mounts = {{"bind", Path("lower1"), "", {"rbind"}},
                                     {"bind", Path("upper"), "", {"rbind"}}};
  ApplyOk(TarBuilder().File("a").Finish(), mounts);
  EXPECT_TRUE(Exists(Upper("a")));
  EXPECT_FALSE(Exists(Path("lower1/a")));
  EXPECT_TRUE(fs::is_empty(Path("mnt"))) << "still mounted";
  EXPECT_EQ(::rmdir(Path("mnt").c_str()), 0);
}

TEST_F(ApplyRules, R09_AFileSystemImageIsMountedThroughALoopDevice) {
  const std::string image = Path("image");
  std::ofstream(image).close();
  fs::resize_file(image, 8 << 20);
  ASSERT_EQ(std::system(("mkfs.ext4 -q -F " + image).c_str()), 0);
  const std::vector<Mount> mounts = {{"ext4", image, "", {"loop", "rw"}}};
  ApplyOk(TarBuilder().File("in-the-image").Finish(), mounts);
  EXPECT_TRUE(fs::is_empty(Path("mnt"))) << "still mounted";
  EXPECT_EQ(std::system(("debugfs -R 'stat /in-the-image' " + image +
                         " 2>/dev/null | grep -q 'Type: regular'")
                            .c_str()),
            0);
}

TEST_F(ApplyRules, R09_FailedLayerIsUnmountedToo) {
  EXPECT_FALSE(
      Apply("no archive, but long enough to be one: " + std::string(512, 'x'), Bind()).ok());
  EXPECT_EQ(::rmdir(Path("mnt").c_str()), 0);
}

TEST_F(ApplyRules, R09_ReadOnlyMountsAreRefused) {
  const std::string tar = TarBuilder().File("a").Finish();
  const std::vector<Mount> view = {
      {"overlay", "overlay", "", {"lowerdir=" + Path("lower2") + ":" + Path("lower1")}}};
  EXPECT_EQ(Apply(tar, view).status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<Mount> bind = {{"bind", Path("upper"), "", {"rbind", "ro"}}};
  EXPECT_EQ(Apply(tar, bind).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Apply(tar, std::vector<Mount>()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ApplyRules, R09_InAUserNamespaceAnOverlayIsMounted) {
  const auto plan = PlanTarget(Overlay(), /*in_user_namespace=*/true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->needs_mount());
  EXPECT_FALSE(PlanTarget(Overlay(), /*in_user_namespace=*/false)->needs_mount());
}

TEST_F(ApplyRules, R10_VolatileIsNotAmongTheOptionsOfATemporaryMount) {
  const auto arguments = ParseMount(
      {"overlay", "overlay", "", {"volatile", "fsync=volatile", "index=off", "ro", "rw", "nodev"}});
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(arguments->data, "index=off");
  EXPECT_EQ(arguments->flags, static_cast<unsigned long>(MS_NODEV));
  EXPECT_EQ(ParseMount({"tmpfs", "tmpfs", "", {"volatile"}})->data, "volatile");
}

TEST_F(ApplyRules, R10_MountsOfOthersAreUnimplemented) {
  for (const Mount& mount :
       {Mount{"fuse3.fuse-overlayfs", "overlay"}, Mount{"format/overlay", "x"},
        Mount{"bind", "/a", "", {"uidmap=0:1:2"}},
        Mount{"bind", "/a", "", {"X-containerd.custom=1"}}, Mount{"bind", "/a", "/sub", {}},
        Mount{"overlay", "overlay", "", {"lowerdir=" + std::string(5000, 'l')}}}) {
    EXPECT_EQ(ParseMount(mount).status().code(), absl::StatusCode::kUnimplemented) << mount.type;
  }
}

TEST_F(ApplyRules, R11_BindMountGetsNoOverlayWhiteouts) {
  std::ofstream(Upper("gone")) << "x";
  ApplyOk(TarBuilder().File(".wh.gone").File("a").Finish(), Bind());
  EXPECT_FALSE(Exists(Upper("gone")));
  EXPECT_TRUE(Exists(Upper("a")));
}

TEST_F(ApplyRules, R12_SyncFsSyncsOverlayAndBindAndNothingElse) {
  const std::string tar = TarBuilder().File("a").Finish();
  for (const std::vector<Mount>& mounts :
       {Overlay(), Bind(), std::vector<Mount>{{"tmpfs", "tmpfs", "", {}}}}) {
    const auto result = Apply(tar, ApplyRequest{.mounts = mounts, .sync_fs = true});
    EXPECT_TRUE(result.ok()) << result.status();
  }
}

TEST_F(ApplyRules, R14_NamesAreCleanedAndConfined) {
  ApplyOk(TarBuilder()
              .File("./dot")
              .File("/absolute")
              .File("../../up")
              .File("x/../y/./z")
              .File("d//e/")
              .Finish(),
          Overlay());
  for (const char* name : {"dot", "absolute", "up", "y/z", "d/e"}) {
    EXPECT_TRUE(S_ISREG(Mode(Upper(name)))) << name;
  }
  EXPECT_FALSE(Exists(Upper("x")));
}

TEST_F(ApplyRules, R14_ParentsAreResolvedInTheTreeAsInAChroot) {
  ApplyOk(TarBuilder()
              .Dir("real")
              .Symlink("link", "real")
              .Symlink("abs", "/real")
              .Symlink("out", "../../../real")
              .Symlink("chain", "link/../abs")
              .File("link/1")
              .File("abs/2")
              .File("out/3")
              .File("chain/4")
              .Finish(),
          Overlay());
  for (const char* name : {"1", "2", "3", "4"}) EXPECT_TRUE(Exists(Upper("real/") + name)) << name;
}

TEST_F(ApplyRules, R14_MissingPartsOfALinkCountAsPlain) {
  ApplyOk(TarBuilder().Symlink("link", "not/there").File("link/file", "x").Finish(), Overlay());
  EXPECT_EQ(Content(Upper("not/there/file")), "x");
  EXPECT_TRUE(S_ISLNK(Mode(Upper("link"))));
}

TEST_F(ApplyRules, R14_DotDotAfterALinkIsLexical) {
  // The kernel would go to deep/dir and up to deep.
  ApplyOk(TarBuilder()
              .Dir("deep/dir")
              .Symlink("l", "deep/dir")
              .Symlink("m", "l/../there")
              .File("m/file")
              .Finish(),
          Overlay());
  EXPECT_TRUE(Exists(Upper("there/file")));
  EXPECT_FALSE(Exists(Upper("deep/there")));
}

TEST_F(ApplyRules, R14_LoopOfLinksIsAnError) {
  const auto result =
      Apply(TarBuilder().Symlink("a", "b").Symlink("b", "a").File("a/x").Finish(), Overlay());
  EXPECT_THAT(std::string(base::Message(result.status())), HasSubstr("more than 255 links"));
}

TEST_F(ApplyRules, R15_EntryOfTheRootItselfIsSkipped) {
  const mode_t before = Mode(Path("upper"));
  ApplyOk(TarBuilder()
              .Dir("./", 0700)
              .Dir("/", 0711)
              .Dir("..", 0111)
              .Add({.type = '5', .name = "a/..", .uid = 5})
              .File("f")
              .Finish(),
          Overlay());
  EXPECT_EQ(Mode(Path("upper")), before);
  EXPECT_EQ(Stat(Path("upper"))->st_uid, 0U);
}

TEST_F(ApplyRules, R16_MissingParentsHaveMode0755WhateverTheUmask) {
  const mode_t old = ::umask(077);
  ApplyOk(TarBuilder().File("a/b/f").Finish(), Overlay());
  ::umask(old);
  EXPECT_EQ(Mode(Upper("a")) & 07777, 0755U);
  EXPECT_EQ(Mode(Upper("a/b")) & 07777, 0755U);
}

TEST_F(ApplyRules, R16_ParentsAreCopiedUpFromTheFirstLayerThatHasThem) {
  for (const char* layer : {"lower1/d", "lower2/d"}) fs::create_directory(Path(layer));
  fs::create_directory(Path("lower1/d/e"));
  ASSERT_EQ(::chmod(Path("lower2/d").c_str(), 02711), 0);
  ASSERT_EQ(::chown(Path("lower2/d").c_str(), 11, 22), 0);
  ASSERT_EQ(::chmod(Path("lower2/d").c_str(), 02711), 0);
  ASSERT_EQ(::setxattr(Path("lower2/d").c_str(), "user.k", "v", 1, 0), 0);
  ASSERT_EQ(::setxattr(Path("lower2/d").c_str(), "trusted.k", "v", 1, 0), 0);
  ASSERT_EQ(::chmod(Path("lower1/d").c_str(), 0700), 0);
  ASSERT_EQ(::chmod(Path("lower1/d/e").c_str(), 0500), 0);
  const timespec times[2] = {{1'500'000'001, 7}, {1'500'000'002, 8}};
  ASSERT_EQ(::utimensat(AT_FDCWD, Path("lower1/d/e").c_str(), times, 0), 0);

  // The directory e stays as it was copied up, since nothing is made in it.
  ApplyOk(TarBuilder().File("d/e/.wh.x").Finish(), Bind());
  fs::remove_all(Upper("d"));
  ApplyOk(TarBuilder().File("d/e/f").Finish(), Overlay());
  const auto d = Stat(Upper("d"));
  ASSERT_TRUE(d.has_value());
  EXPECT_EQ(d->st_mode & 07777, 02711U);
  EXPECT_EQ(d->st_uid, 11U);
  EXPECT_EQ(d->st_gid, 22U);
  EXPECT_EQ(Xattr(Upper("d"), "user.k"), "v");
  EXPECT_FALSE(Xattr(Upper("d"), "trusted.k").has_value());
  EXPECT_EQ(Mode(Upper("d/e")) & 07777, 0500U) << "d/e is in lower1 only";
  // Its modification time is of the new file, its access time is still the copied one.
  EXPECT_EQ(Stat(Upper("d/e"))->st_atim.tv_sec, 1'500'000'001);
  EXPECT_EQ(Stat(Upper("d/e"))->st_atim.tv_nsec, 7);
}

TEST_F(ApplyRules, R16_SearchEndsWhereALayerHasSomethingElse) {
  std::ofstream(Path("lower2/d")) << "a file";
  fs::create_directory(Path("lower1/d"));
  ASSERT_EQ(::chmod(Path("lower1/d").c_str(), 0700), 0);
  ApplyOk(TarBuilder().File("d/f").Finish(), Overlay());
  EXPECT_EQ(Mode(Upper("d")) & 07777, 0755U);
}

TEST_F(ApplyRules, R16_ParentThatIsNoDirectoryIsAnError) {
  const auto result = Apply(TarBuilder().File("a", "x").File("a/b").Finish(), Overlay());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(result.status())), HasSubstr("unpack \"a/b\""));
}

TEST_F(ApplyRules, R17_DevicesAreSkippedInAUserNamespaceButFifosAreNot) {
  auto root = RootDir::Open(Path("upper"));
  ASSERT_TRUE(root.ok());
  Extractor extractor(*root, {.in_user_namespace = true}, cancellation_);
  const std::string tar = TarBuilder()
                              .Add({.type = '3', .name = "c", .major = 1, .minor = 3})
                              .Add({.type = '4', .name = "b", .major = 8, .minor = 1})
                              .Add({.type = '6', .name = "p"})
                              .Finish();
  MemorySource source(tar);
  TarReader reader(source);
  ASSERT_TRUE(extractor.Extract(reader).ok());
  EXPECT_EQ(extractor.report().skipped_devices, 2);
  EXPECT_FALSE(Exists(Upper("c")));
  EXPECT_FALSE(Exists(Upper("b")));
  EXPECT_TRUE(S_ISFIFO(Mode(Upper("p"))));
}

TEST_F(ApplyRules, R18_WhiteoutMustNameSomethingInItsDirectory) {
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh..."}) {
    for (const auto& mounts : {Overlay(), Bind()}) {
      EXPECT_EQ(Apply(TarBuilder().File(name).Finish(), mounts).status().code(),
                absl::StatusCode::kInvalidArgument)
          << name;
    }
  }
}

TEST_F(ApplyRules, R19_OverlayWhiteoutIsADeviceWithTheOwnerOfTheEntry) {
  ApplyOk(TarBuilder()
              .Add({.name = "d/.wh.x",
                    .mode = 0777,
                    .uid = 7,
                    .gid = 8,
                    .pax = {{"SCHILY.xattr.security.x", "v"}}})
              .Finish(),
          Overlay());
  const auto node = Stat(Upper("d/x"));
  ASSERT_TRUE(node.has_value());
  EXPECT_EQ(node->st_mode, static_cast<mode_t>(S_IFCHR)) << "no mode";
  EXPECT_EQ(node->st_rdev, makedev(0, 0));
  EXPECT_EQ(node->st_uid, 7U);
  EXPECT_EQ(node->st_gid, 8U);
  EXPECT_FALSE(Xattr(Upper("d/x"), "security.x").has_value());
}

TEST_F(ApplyRules, R19_OverlayWhiteoutOfAnExistingFileIsAnError) {
  EXPECT_EQ(Apply(TarBuilder().File("x").File(".wh.x").Finish(), Overlay()).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(ApplyRules, R19_OpaqueMarkerIsATrustedAttributeOfTheDirectory) {
  ApplyOk(TarBuilder().File("d/.wh..wh..opq").File("d/f").File(".wh..wh..opq").Finish(), Overlay());
  EXPECT_EQ(Xattr(Upper("d"), "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Xattr(Path("upper"), "trusted.overlay.opaque"), "y");
  EXPECT_FALSE(Xattr(Upper("d"), "user.overlay.opaque").has_value());
  EXPECT_FALSE(Exists(Upper("d/.wh..wh..opq")));
  EXPECT_TRUE(Exists(Upper("d/f")));
}

TEST_F(ApplyRules, R20_PlainWhiteoutRemovesATreeAndDoesNotMindNothing) {
  fs::create_directories(Upper("d/x/y/z"));
  std::ofstream(Upper("d/x/y/f")) << "f";
  ApplyOk(TarBuilder().File("d/.wh.x").File("d/.wh.missing").Finish(), Bind());
  EXPECT_FALSE(Exists(Upper("d/x")));
  EXPECT_TRUE(Exists(Upper("d")));
}

TEST_F(ApplyRules, R20_OpaqueRemovesWhatThisLayerDidNotUnpackWhateverTheOrder) {
  fs::create_directories(Upper("d/old/sub"));
  std::ofstream(Upper("d/oldfile")) << "x";
  fs::create_directories(Upper("d/kept/oldsub"));
  ApplyOk(TarBuilder()
              .Dir("d")
              .Dir("d/kept")
              .File("d/kept/new")
              .File("d/implied/new")
              .File("d/.wh..wh..opq")
              .File("d/later")
              .File("d/.wh..wh..opq")
              .Finish(),
          Bind());
  EXPECT_FALSE(Exists(Upper("d/old")));
  EXPECT_FALSE(Exists(Upper("d/oldfile")));
  EXPECT_FALSE(Exists(Upper("d/kept/oldsub")));
  EXPECT_TRUE(Exists(Upper("d/kept/new")));
  EXPECT_TRUE(Exists(Upper("d/later"))) << "a second marker does nothing";
  EXPECT_FALSE(Exists(Upper("d/implied"))) << "containerd keeps only what has an entry";
}

TEST_F(ApplyRules, R20_OtherMetaWhiteoutsArePlainOnes) {
  std::ofstream(Upper(".wh.plnk")) << "x";
  ApplyOk(TarBuilder().File(".wh..wh.plnk").Finish(), Bind());
  EXPECT_FALSE(Exists(Upper(".wh.plnk")));
}

}  // namespace
}  // namespace eagle::apply
