#include "plugin/apply/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/apply/testing/tar_builder.h"

namespace eagle::apply {
namespace {

using ::testing::ElementsAre;
using testing::Entry;
using ::testing::HasSubstr;
using testing::TarBuilder;

struct Read {
  TarEntry entry;
  std::string data;
};

// All entries with their data, holes as zeros.
absl::StatusOr<std::vector<Read>> ReadAll(std::string_view archive, std::size_t piece = 1 << 20) {
  MemorySource source(archive, piece);
  TarReader reader(source);
  std::vector<Read> all;
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(const TarEntry* entry, reader.Next());
    if (entry == nullptr) return all;
    Read read{*entry, ""};
    while (true) {
      EAGLE_ASSIGN_OR_RETURN(const TarReader::Piece part, reader.Read());
      if (part.data.empty()) break;
      read.data.resize(static_cast<std::size_t>(part.offset), '\0');
      read.data += part.data;
    }
    if (entry->type == kTypeFile) read.data.resize(static_cast<std::size_t>(entry->size), '\0');
    all.push_back(std::move(read));
  }
}

std::vector<std::string> Names(std::string_view archive, std::size_t piece = 1 << 20) {
  const auto all = ReadAll(archive, piece);
  EXPECT_TRUE(all.ok()) << all.status();
  std::vector<std::string> names;
  for (const Read& read : all.value_or(std::vector<Read>())) names.push_back(read.entry.name);
  return names;
}

absl::StatusCode CodeOf(std::string_view archive) {
  return ReadAll(archive).status().code();
}

TEST(TarReader, ReadsFieldsOfAnEntry) {
  const std::string archive = TarBuilder()
                                  .Add({.type = '3',
                                        .name = "dev/x",
                                        .mode = 06755,
                                        .uid = 1000,
                                        .gid = 2000,
                                        .mtime = 77,
                                        .major = 8,
                                        .minor = 3})
                                  .Symlink("l", "target")
                                  .Finish();
  const auto all = ReadAll(archive);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2U);
  const TarEntry& entry = all->at(0).entry;
  EXPECT_EQ(entry.type, kTypeCharDevice);
  EXPECT_EQ(entry.mode, 06755);
  EXPECT_EQ(entry.uid, 1000);
  EXPECT_EQ(entry.gid, 2000);
  EXPECT_EQ(entry.mtime.seconds, 77);
  EXPECT_FALSE(entry.atime.has_value());
  EXPECT_EQ(entry.device_major, 8);
  EXPECT_EQ(entry.device_minor, 3);
  EXPECT_EQ(all->at(1).entry.link_name, "target");
}

TEST(TarReader, ReadsTheSameWhateverPiecesTheInputComesIn) {
  const std::string archive = TarBuilder()
                                  .File("a", std::string(1000, 'x'))
                                  .Add({.name = std::string(300, 'n'), .data = "y"})
                                  .File("c", std::string(512, 'z'))
                                  .Finish();
  const auto whole = ReadAll(archive);
  for (const std::size_t piece : {1U, 7U, 511U, 512U, 513U}) {
    const auto pieces = ReadAll(archive, piece);
    ASSERT_TRUE(pieces.ok()) << pieces.status();
    ASSERT_EQ(pieces->size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(pieces->at(i).entry.name, whole->at(i).entry.name);
      EXPECT_EQ(pieces->at(i).data, whole->at(i).data);
    }
  }
}

TEST(TarReader, PaxRecordsReplaceFields) {
  const auto all = ReadAll(TarBuilder()
                               .Add({.name = "short",
                                     .data = "12345",
                                     .pax = {{"path", "p/long"},
                                             {"uid", "4000000"},
                                             {"gid", "-1"},
                                             {"mtime", "1350244992.023960108"},
                                             {"atime", "-1.5"},
                                             {"uname", ""},
                                             {"SCHILY.xattr.user.a", "v=1\n"},
                                             {"SCHILY.xattr.user.empty", ""}}})
                               .File("next")
                               .Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  const TarEntry& entry = all->at(0).entry;
  EXPECT_EQ(entry.name, "p/long");
  EXPECT_EQ(entry.uid, 4000000);
  EXPECT_EQ(entry.gid, -1);
  EXPECT_EQ(entry.mtime.seconds, 1350244992);
  EXPECT_EQ(entry.mtime.nanoseconds, 23960108);
  EXPECT_EQ(entry.atime->seconds, -2);
  EXPECT_EQ(entry.atime->nanoseconds, 500000000);
  EXPECT_THAT(entry.xattrs,
              ElementsAre(std::pair<const std::string, std::string>("user.a", "v=1\n"),
                          std::pair<const std::string, std::string>("user.empty", "")));
  EXPECT_EQ(all->at(0).data, "12345");
  EXPECT_EQ(all->at(1).entry.name, "next");
  EXPECT_TRUE(all->at(1).entry.xattrs.empty());
}

TEST(TarReader, PaxSizeDecidesHowMuchDataThereIs) {
  const auto all =
      ReadAll(TarBuilder()
                  .Add({.name = "a", .data = "abcdefgh", .pax = {{"size", "8"}}, .size = 0})
                  .File("b")
                  .Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->at(0).data, "abcdefgh");
  EXPECT_EQ(all->at(1).entry.name, "b");
}

TEST(TarReader, GnuLongNamesWinOverTheHeader) {
  const std::string name(400, 'n');
  const std::string link(500, 'l');
  const auto all = ReadAll(TarBuilder()
                               .Add({.type = 'L', .name = "././@LongLink", .data = name + '\0'})
                               .Add({.type = 'K', .name = "././@LongLink", .data = link + '\0'})
                               .Symlink("short", "x")
                               .Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->at(0).entry.name, name);
  EXPECT_EQ(all->at(0).entry.link_name, link);
}

TEST(TarReader, UstarPrefixComesBeforeTheName) {
  std::string block = TarBuilder::Header({.name = "name"});
  block.replace(345, 6, "prefix");
  TarBuilder::SetChecksum(&block);
  EXPECT_THAT(Names(block), ElementsAre("prefix/name"));
}

TEST(TarReader, NumbersInBase256AndNegativeOnes) {
  const auto all =
      ReadAll(TarBuilder().Add({.name = "a", .uid = 1LL << 40, .gid = -5, .mtime = -7}).Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->at(0).entry.uid, 1LL << 40);
  EXPECT_EQ(all->at(0).entry.gid, -5);
  EXPECT_EQ(all->at(0).entry.mtime.seconds, -7);
}

TEST(TarReader, GnuAccessTimeIsRead) {
  std::string block = TarBuilder::Header({.name = "a"});
  block.replace(257, 8, std::string("ustar  \0", 8));
  block.replace(345, 12, std::string("00000000144\0", 12));
  TarBuilder::SetChecksum(&block);
  const auto all = ReadAll(block);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->at(0).entry.atime->seconds, 100);
}

TEST(TarReader, PrefixThatOldGoWroteIntoGnuHeadersIsAPrefix) {
  std::string block = TarBuilder::Header({.name = "foo"});
  block.replace(257, 8, std::string("ustar  \0", 8));
  block.replace(345, 5, "a/b/c");
  TarBuilder::SetChecksum(&block);
  EXPECT_THAT(Names(block), ElementsAre("a/b/c/foo"));
}

TEST(TarReader, OldTypeWithASlashIsADirectoryButTypeZeroIsNot) {
  const std::string nul(1, '\0');
  const auto all = ReadAll(TarBuilder()
                               .Add({.type = '\0', .name = "d/"})
                               .Add({.type = '\0', .name = "f"})
                               .Add({.type = '0', .name = "g/"})
                               .Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->at(0).entry.type, kTypeDirectory);
  EXPECT_EQ(all->at(1).entry.type, kTypeFile);
  EXPECT_EQ(all->at(2).entry.type, kTypeFile);
}

TEST(TarReader, GlobalHeaderIsAnEntryOfItsOwnAndChangesNoOther) {
  const auto all = ReadAll(
      TarBuilder()
          .Add(
              {.type = 'g', .name = "pax_global_header", .data = TarBuilder::PaxRecord("uid", "7")})
          .File("a")
          .Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ(all->at(0).entry.type, kTypeGlobalHeader);
  EXPECT_EQ(all->at(1).entry.uid, 0);
}

TEST(TarReader, LinksAndDirectoriesHaveNoDataWhateverTheirSize) {
  EXPECT_THAT(Names(TarBuilder()
                        .Add({.type = '5', .name = "d", .size = 4096})
                        .Add({.type = '1', .name = "h", .link = "d", .size = 10})
                        .File("f")
                        .Finish()),
              ElementsAre("d", "h", "f"));
}

TEST(TarReader, ArchiveMayEndAtABlockEdge) {
  const std::string archive = TarBuilder().File("a", "x").WithoutEnd();
  EXPECT_THAT(Names(archive), ElementsAre("a"));
  EXPECT_THAT(Names(archive + std::string(512, '\0')), ElementsAre("a"));
  EXPECT_THAT(Names(archive.substr(0, 512 + 1)), ElementsAre("a")) << "padding is missing";
  EXPECT_TRUE(Names("").empty());
}

TEST(TarReader, TruncationIsDataLoss) {
  const std::string archive = TarBuilder().File("a", std::string(600, 'x')).WithoutEnd();
  EXPECT_EQ(CodeOf(archive.substr(0, 100)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(archive.substr(0, 512)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(archive.substr(0, 1000)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(archive + std::string(600, '\0')), absl::StatusCode::kDataLoss);
}

TEST(TarReader, BadHeadersAreRefused) {
  std::string archive = TarBuilder().File("a").Finish();
  archive[0] = 'b';
  const absl::Status status = ReadAll(archive).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("offset 0: its checksum is wrong"));

  std::string number = TarBuilder::Header({.name = "a"});
  number.replace(100, 8, "0000x44 ");
  TarBuilder::SetChecksum(&number);
  EXPECT_EQ(CodeOf(number), absl::StatusCode::kInvalidArgument);

  EXPECT_EQ(CodeOf(TarBuilder().File("a").Bytes(std::string(512, '\0')).File("b").Finish()),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(TarBuilder().Add({.name = "a", .pax = {{"size", "-1"}}}).Finish()),
            absl::StatusCode::kInvalidArgument);
}

TEST(TarReader, BadPaxRecordsAreRefused) {
  for (const std::string_view records :
       {"6 a=b\n7", "5 a=b\n", "6 a=bc", "6 a b\n", "0 a=b\n", "-6 a=b\n", "9 path=a\0b\n",
        "5 =b\n", "99999999999999999999 a=b\n", "11 mtime=x\n", "10 mtime=.5\n", "8 uid=z\n"}) {
    EXPECT_EQ(CodeOf(TarBuilder()
                         .Add({.type = 'x', .name = "p", .data = std::string(records)})
                         .File("a")
                         .Finish()),
              absl::StatusCode::kInvalidArgument)
        << records;
  }
  EXPECT_EQ(
      CodeOf(TarBuilder().Add({.name = "a", .pax = {{"path", std::string("a\0b", 3)}}}).Finish()),
      absl::StatusCode::kInvalidArgument);
}

TEST(TarReader, MetaRecordsOfMoreThanAMebibyteAreRefused) {
  EXPECT_EQ(CodeOf(TarBuilder()
                       .Add({.type = 'L', .name = "l", .data = std::string(kMaxMetaBytes + 1, 'n')})
                       .File("a")
                       .Finish()),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ReadAll(TarBuilder()
                          .Add({.type = 'L', .name = "l", .data = std::string(kMaxMetaBytes, 'n')})
                          .File("a")
                          .Finish())
                  .ok());
}

TEST(TarReader, SparseFilesInPaxFormAreExpanded) {
  const std::string expanded =
      std::string(2, '\0') + "abcde" + std::string(11, '\0') + "fgh" + std::string(4, '\0');
  const std::map<std::string, std::string> v00 = {{"GNU.sparse.size", "25"},
                                                  {"GNU.sparse.numblocks", "2"}};
  const std::string v00_map = TarBuilder::PaxRecord("GNU.sparse.size", "25") +
                              TarBuilder::PaxRecord("GNU.sparse.numblocks", "2") +
                              TarBuilder::PaxRecord("GNU.sparse.offset", "2") +
                              TarBuilder::PaxRecord("GNU.sparse.numbytes", "5") +
                              TarBuilder::PaxRecord("GNU.sparse.offset", "18") +
                              TarBuilder::PaxRecord("GNU.sparse.numbytes", "3");
  std::string v10_data = "2\n2\n5\n18\n3\n";
  v10_data.resize(512, '\0');
  v10_data += "abcdefgh";
  const auto all = ReadAll(TarBuilder()
                               .Add({.type = 'x', .name = "p", .data = v00_map})
                               .File("v00", "abcdefgh")
                               .Add({.name = "v01",
                                     .data = "abcdefgh",
                                     .pax = {{"GNU.sparse.major", "0"},
                                             {"GNU.sparse.minor", "1"},
                                             {"GNU.sparse.realsize", "25"},
                                             {"GNU.sparse.numblocks", "2"},
                                             {"GNU.sparse.map", "2,5,18,3"},
                                             {"GNU.sparse.name", "real"}}})
                               .Add({.name = "v10",
                                     .data = v10_data,
                                     .pax = {{"GNU.sparse.major", "1"},
                                             {"GNU.sparse.minor", "0"},
                                             {"GNU.sparse.realsize", "25"}}})
                               .File("last")
                               .Finish());
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(all->at(i).data, expanded) << i;
  EXPECT_EQ(all->at(1).entry.name, "real");
  EXPECT_EQ(all->at(3).entry.name, "last");
}

TEST(TarReader, BadSparseMapsAreRefused) {
  const auto code = [](std::string_view map, std::string_view blocks, std::string_view size) {
    return CodeOf(TarBuilder()
                      .Add({.name = "s",
                            .data = "abcdefgh",
                            .pax = {{"GNU.sparse.major", "0"},
                                    {"GNU.sparse.minor", "1"},
                                    {"GNU.sparse.size", std::string(size)},
                                    {"GNU.sparse.numblocks", std::string(blocks)},
                                    {"GNU.sparse.map", std::string(map)}}})
                      .Finish());
  };
  EXPECT_EQ(code("2,5,18,3", "2", "25"), absl::StatusCode::kOk);
  EXPECT_EQ(code("2,5,18,3", "3", "25"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code("2,5,6,3", "2", "25"), absl::StatusCode::kInvalidArgument) << "overlap";
  EXPECT_EQ(code("2,5,18,3", "2", "20"), absl::StatusCode::kInvalidArgument) << "beyond the end";
  EXPECT_EQ(code("2,5,18,4", "2", "25"), absl::StatusCode::kInvalidArgument) << "too little data";
  EXPECT_EQ(code("2,5", "1", "25"), absl::StatusCode::kInvalidArgument) << "too much data";
  EXPECT_EQ(code("2,9223372036854775807", "1", "25"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code("-1,8", "1", "25"), absl::StatusCode::kInvalidArgument);
}

TEST(TarReader, OldGnuSparseTypeIsUnimplemented) {
  EXPECT_EQ(CodeOf(TarBuilder().Add({.type = 'S', .name = "s"}).Finish()),
            absl::StatusCode::kUnimplemented);
}

TEST(TarReader, SkipsDataThatNobodyReads) {
  const std::string archive =
      TarBuilder().File("a", std::string(2000, 'x')).File("b", "y").Finish();
  MemorySource source(archive, 100);
  TarReader reader(source);
  EXPECT_EQ((*reader.Next())->name, "a");
  EXPECT_EQ((*reader.Next())->name, "b");
  EXPECT_EQ(*reader.Next(), nullptr);
}

}  // namespace
}  // namespace eagle::apply
