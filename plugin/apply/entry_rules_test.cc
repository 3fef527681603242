// One test or more for each rule of containerd's applier that README.md lists; the numbers are its.
// Here: what entries become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "plugin/apply/testing/layer_test.h"
#include "plugin/apply/testing/tar_builder.h"

namespace eagle::apply {
namespace {

using testing::TarBuilder;
namespace fs = std::filesystem;

class EntryRules : public testing::LayerTest {};

TEST_F(EntryRules, R21_ExistingPathIsReplaced) {
  fs::create_directories(Upper("d/sub"));
  std::ofstream(Upper("f")) << "old";
  fs::create_symlink("/etc/passwd", Upper("l"));
  ApplyOk(TarBuilder()
              .File("d", "file now")
              .Dir("f")
              .File("l", "no link")
              .Symlink("s", "x")
              .Symlink("s", "y")
              .Finish(),
          Overlay());
  EXPECT_EQ(Content(Upper("d")), "file now");
  EXPECT_TRUE(S_ISDIR(Mode(Upper("f"))));
  EXPECT_TRUE(S_ISREG(Mode(Upper("l"))));
  EXPECT_EQ(LinkText(Upper("s")), "y");
}

TEST_F(EntryRules, R21_DirectoriesMerge) {
  fs::create_directories(Upper("d/sub"));
  ApplyOk(TarBuilder().Add({.type = '5', .name = "d", .mode = 0701, .uid = 3}).Finish(), Overlay());
  EXPECT_TRUE(Exists(Upper("d/sub")));
  EXPECT_EQ(Mode(Upper("d")) & 07777, 0701U);
  EXPECT_EQ(Stat(Upper("d"))->st_uid, 3U);
}

TEST_F(EntryRules, R22_OwnerComesBeforeAttributesAndModeAfter) {
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  ApplyOk(TarBuilder()
              .Add({.name = "f",
                    .mode = 06755,
                    .uid = 1000,
                    .gid = 1000,
                    .pax = {{"SCHILY.xattr.security.capability", capability}}})
              .HardLink("h", "f")
              .Finish(),
          Overlay());
  EXPECT_EQ(Xattr(Upper("f"), "security.capability"), std::nullopt)
      << "the link's own chown rewrites the shared inode";
  ApplyOk(TarBuilder()
              .Add({.name = "g",
                    .mode = 06755,
                    .uid = 1000,
                    .pax = {{"SCHILY.xattr.security.capability", capability}}})
              .Finish(),
          Overlay());
  EXPECT_EQ(Xattr(Upper("g"), "security.capability"), capability);
  EXPECT_EQ(Mode(Upper("g")) & 07777, 06755U);
  EXPECT_EQ(Stat(Upper("g"))->st_uid, 1000U);
}

TEST_F(EntryRules, R22_SymlinkHasOwnerAndTimesOfItsOwn) {
  ApplyOk(TarBuilder()
              .File("t")
              .Add({.type = '2', .name = "l", .link = "t", .mode = 0600, .uid = 9, .mtime = 99})
              .Finish(),
          Overlay());
  EXPECT_EQ(Stat(Upper("l"))->st_uid, 9U);
  EXPECT_EQ(Stat(Upper("l"))->st_mtim.tv_sec, 99);
  EXPECT_EQ(Mode(Upper("t")) & 07777, 0644U);
  EXPECT_EQ(Stat(Upper("t"))->st_uid, 0U);
}

TEST_F(EntryRules, R23_ModesAreExactWhateverTheUmask) {
  const mode_t old = ::umask(077);
  ApplyOk(TarBuilder()
              .Add({.name = "f", .mode = 07777})
              .Dir("d", 01777)
              .Add({.type = '3', .name = "c", .mode = 0100666, .major = 1, .minor = 3})
              .Add({.type = '4', .name = "b", .mode = 0660, .major = 259, .minor = 70000})
              .Add({.type = '6', .name = "p", .mode = 0622})
              .Finish(),
          Overlay());
  ::umask(old);
  EXPECT_EQ(Mode(Upper("f")), S_IFREG | 07777U);
  EXPECT_EQ(Mode(Upper("d")), S_IFDIR | 01777U);
  EXPECT_EQ(Mode(Upper("c")), S_IFCHR | 0666U);
  EXPECT_EQ(Mode(Upper("b")), S_IFBLK | 0660U);
  EXPECT_EQ(Mode(Upper("p")), S_IFIFO | 0622U);
  EXPECT_EQ(Stat(Upper("c"))->st_rdev, makedev(1, 3));
  EXPECT_EQ(Stat(Upper("b"))->st_rdev, makedev(259, 70000));
}

TEST_F(EntryRules, R24_HardLinkSharesTheInodeAndRewritesIt) {
  ApplyOk(TarBuilder()
              .File("d/f", "x")
              .Symlink("s", "d")
              .Add({.type = '1', .name = "h", .link = "s/f", .mode = 0600, .uid = 4, .mtime = 5})
              .HardLink("h2", "/d/f")
              .HardLink("h3", "./d//f/")
              .Finish(),
          Overlay());
  const auto f = Stat(Upper("d/f"));
  ASSERT_TRUE(f.has_value());
  EXPECT_EQ(f->st_nlink, 4U);
  EXPECT_EQ(f->st_ino, Stat(Upper("h"))->st_ino);
  EXPECT_EQ(f->st_mode & 07777, 0644U) << "the last link's";
}

TEST_F(EntryRules, R24_HardLinkToASymlinkLinksTheSymlink) {
  ApplyOk(TarBuilder()
              .File("t", "x")
              .Symlink("s", "t")
              .Add({.type = '1', .name = "h", .link = "s", .mode = 0400, .uid = 6})
              .Finish(),
          Overlay());
  EXPECT_EQ(LinkText(Upper("h")), "t");
  EXPECT_EQ(Stat(Upper("h"))->st_ino, Stat(Upper("s"))->st_ino);
  EXPECT_EQ(Mode(Upper("t")) & 07777, 0644U) << "mode does not go through the link";
  EXPECT_EQ(Stat(Upper("t"))->st_uid, 0U);
}

TEST_F(EntryRules, R24_HardLinkSeesItsOwnLayerOnly) {
  std::ofstream(Path("lower2/f")) << "x";
  EXPECT_EQ(Apply(TarBuilder().HardLink("h", "f").Finish(), Overlay()).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(EntryRules, R24_HardLinkToTheRootOrOutOfItIsAnError) {
  for (const char* target : {"", "/", "..", "../..", ".", "d"}) {
    EXPECT_EQ(
        Apply(TarBuilder().Dir("d").HardLink("h", target).Finish(), Overlay()).status().code(),
        absl::StatusCode::kPermissionDenied)
        << target;
  }
}

TEST_F(EntryRules, R25_SymlinkTextIsStoredAsItIs) {
  for (const char* text : {"../../..//x/./", "/etc/passwd", "a\xff b"}) {
    ApplyOk(TarBuilder().Symlink("l", text).Finish(), Overlay());
    EXPECT_EQ(LinkText(Upper("l")), text);
  }
}

TEST_F(EntryRules, R25_GlobalHeaderIsIgnored) {
  ApplyOk(TarBuilder()
              .Add({.type = 'g',
                    .name = "pax_global_header",
                    .data = TarBuilder::PaxRecord("uid", "7") +
                            TarBuilder::PaxRecord("SCHILY.xattr.user.g", "v")})
              .File("f")
              .Finish(),
          Overlay());
  EXPECT_FALSE(Exists(Upper("pax_global_header")));
  EXPECT_EQ(Stat(Upper("f"))->st_uid, 0U);
  EXPECT_FALSE(Xattr(Upper("f"), "user.g").has_value());
}

TEST_F(EntryRules, R25_UnknownTypesAreErrors) {
  for (const char type : {'7', 'V', 'A', '\x80'}) {
    EXPECT_EQ(
        Apply(TarBuilder().Add({.type = type, .name = "x"}).Finish(), Overlay()).status().code(),
        absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(EntryRules, R26_AttributesComeFromPaxRecords) {
  ApplyOk(TarBuilder()
              .Add({.name = "f",
                    .mode = 0400,
                    .pax = {{"SCHILY.xattr.user.a", std::string("v\0w", 3)},
                            {"SCHILY.xattr.user.empty", ""},
                            {"LIBARCHIVE.xattr.user.b", "v"}}})
              .Add({.type = '5', .name = "d", .pax = {{"SCHILY.xattr.user.a", "d"}}})
              .Finish(),
          Overlay());
  EXPECT_EQ(Xattr(Upper("f"), "user.a"), std::string("v\0w", 3));
  EXPECT_EQ(Xattr(Upper("f"), "user.empty"), "");
  EXPECT_FALSE(Xattr(Upper("f"), "user.b").has_value());
  EXPECT_EQ(Xattr(Upper("d"), "user.a"), "d");
}

TEST_F(EntryRules, R26_AttributesThatCanNotBeAreSkippedOrFatal) {
  const auto result =
      Apply(TarBuilder()
                .Add({.name = "f", .pax = {{"SCHILY.xattr.trusted.overlay.opaque", "y"}}})
                .Add({.type = '2', .name = "l", .link = "f", .pax = {{"SCHILY.xattr.user.a", "v"}}})
                .Add({.type = '6', .name = "p", .pax = {{"SCHILY.xattr.user.a", "v"}}})
                .Add({.name = "g", .pax = {{"SCHILY.xattr.com.example", "v"}}})
                .Finish(),
            Overlay());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.ignored_xattrs, 4);
  EXPECT_FALSE(Xattr(Upper("f"), "trusted.overlay.opaque").has_value());
  const std::string too_long(100'000, 'v');
  EXPECT_FALSE(
      Apply(TarBuilder().Add({.name = "h", .pax = {{"SCHILY.xattr.user.a", too_long}}}).Finish(),
            Overlay())
          .ok());
}

TEST_F(EntryRules, R27_AccessTimeIsTheLaterOfTheTwo) {
  ApplyOk(TarBuilder()
              .Add({.name = "none", .mtime = 50})
              .Add({.name = "later", .mtime = 50, .pax = {{"atime", "60.5"}}})
              .Add({.name = "earlier", .mtime = 50, .pax = {{"atime", "40"}}})
              .Add({.name = "fine", .pax = {{"mtime", "1500000000.1234567899"}}})
              .Finish(),
          Overlay());
  EXPECT_EQ(Stat(Upper("none"))->st_atim.tv_sec, 50);
  EXPECT_EQ(Stat(Upper("later"))->st_atim.tv_sec, 60);
  EXPECT_EQ(Stat(Upper("later"))->st_atim.tv_nsec, 500'000'000);
  EXPECT_EQ(Stat(Upper("later"))->st_mtim.tv_sec, 50);
  EXPECT_EQ(Stat(Upper("earlier"))->st_atim.tv_sec, 50);
  EXPECT_EQ(Stat(Upper("fine"))->st_mtim.tv_nsec, 123456789);
}

TEST_F(EntryRules, R27_TimesOutOfRangeBecomeTheEpoch) {
  for (const char* mtime : {"-1", "-0.1", "9223372036.9", "9223372036854775807"}) {
    const std::string tar = TarBuilder().Add({.name = "f", .pax = {{"mtime", mtime}}}).Finish();
    ApplyOk(tar, Overlay());
    EXPECT_EQ(Stat(Upper("f"))->st_mtim.tv_sec, 0) << mtime;
    EXPECT_EQ(Stat(Upper("f"))->st_mtim.tv_nsec, 0) << mtime;
  }
}

TEST_F(EntryRules, R27_DirectoryTimesAreSetAtTheEnd) {
  ApplyOk(TarBuilder()
              .Add({.type = '5', .name = "d", .mtime = 10})
              .Add({.type = '5', .name = "d/e", .mtime = 20})
              .File("d/e/f")
              .File("d/g")
              .Add({.type = '5', .name = "replaced", .mtime = 30})
              .Dir("elsewhere")
              .Symlink("replaced", "elsewhere")
              .Finish(),
          Overlay());
  EXPECT_EQ(Stat(Upper("d"))->st_mtim.tv_sec, 10);
  EXPECT_EQ(Stat(Upper("d/e"))->st_mtim.tv_sec, 20);
  EXPECT_EQ(Stat(Upper("elsewhere"))->st_mtim.tv_sec, 1'600'000'000)
      << "its own entry comes later in the archive";
}

TEST_F(EntryRules, R28_SparseFilesAreExpandedWithHoles) {
  std::string map = "1\n4194304\n3\n";
  map.resize(512, '\0');
  ApplyOk(TarBuilder()
              .Add({.name = "s",
                    .data = map + "abc",
                    .pax = {{"GNU.sparse.major", "1"},
                            {"GNU.sparse.minor", "0"},
                            {"GNU.sparse.name", "real"},
                            {"GNU.sparse.realsize", "8388608"}}})
              .Finish(),
          Overlay());
  const std::string content = Content(Upper("real"));
  ASSERT_EQ(content.size(), 8388608U);
  EXPECT_EQ(content.substr(4194304, 4), std::string("abc\0", 4));
  EXPECT_LT(Stat(Upper("real"))->st_blocks * 512, 100'000);
}

TEST_F(EntryRules, R29_CancelledLayerEndsAtTheNextEntry) {
  cancellation_.Cancel();
  EXPECT_EQ(Apply(TarBuilder().File("a").Finish(), Overlay()).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_FALSE(Exists(Upper("a")));
}

}  // namespace
}  // namespace eagle::apply
