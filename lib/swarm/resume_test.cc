#include "lib/swarm/resume.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "lib/base/file.h"
#include "lib/swarm/piece_map.h"
#include "lib/testing/temp_dir.h"

namespace eagle::swarm {
namespace {

ResumeState StateOf(const std::string& path) {
  const auto file = IdentifyFile(path).value();
  return {.boot_id = "this boot", .inode = file.inode, .birth_ns = file.birth_ns, .bits = "\xff"};
}

TEST(PieceMap, CountsBytesAndTheVerifiedPrefix) {
  PieceMap map(10 * 3 + 1, 10);
  EXPECT_EQ(map.pieces(), 4);
  map.Set(3);
  map.Set(1);
  map.Set(1);
  map.Set(-1);
  map.Set(4);
  EXPECT_EQ(map.bytes(), 11);
  EXPECT_EQ(map.contiguous_bytes(), 0);
  map.Set(0);
  EXPECT_EQ(map.contiguous_bytes(), 20);
  EXPECT_FALSE(map.complete());
  map.Set(2);
  EXPECT_EQ(map.contiguous_bytes(), 31);
  EXPECT_EQ(map.bytes(), 31);
  EXPECT_TRUE(map.complete());
}

TEST(PieceMap, BitsRoundTripAndForeignOnesAreRefused) {
  PieceMap map(100, 10);
  map.Set(0);
  map.Set(9);
  EXPECT_EQ(map.Bits(), std::string("\x80\x40"));
  PieceMap copy(100, 10);
  ASSERT_TRUE(copy.SetBits(map.Bits()));
  EXPECT_EQ(copy.bytes(), 20);
  EXPECT_FALSE(copy.SetBits("\x80"));
  EXPECT_FALSE(copy.SetBits("\xff\xff"));
  EXPECT_FALSE(copy.SetBits(""));
  EXPECT_EQ(copy.bytes(), 20);
}

TEST(Resume, RoundTrips) {
  const ResumeState state = {.boot_id = "b",
                             .inode = 7,
                             .birth_ns = 8,
                             .bits = std::string("\0\xff", 2),
                             .from_peers = 9,
                             .from_seeders = 10};
  const auto read = DecodeResume(EncodeResume(state));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->boot_id, "b");
  EXPECT_EQ(read->inode, 7U);
  EXPECT_EQ(read->birth_ns, 8);
  EXPECT_EQ(read->bits, state.bits);
  EXPECT_EQ(read->from_peers, 9);
  EXPECT_EQ(read->from_seeders, 10);
}

TEST(Resume, RefusesForeignData) {
  for (const std::string text : {"", "junk", "de", "i1e", "d4:bitsi1ee", "d4:bits1:xe"}) {
    EXPECT_FALSE(DecodeResume(text).ok()) << text;
  }
}

TEST(Resume, TrustsTheFileItWasMadeFor) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/layer";
  ASSERT_TRUE(base::WriteFileAtomic(path, "12345", 0444).ok());
  const ResumeState state = StateOf(path);
  EXPECT_EQ(PrepareFile(path, 5, &state, "this boot").value(), StartFrom::kPieces);
  EXPECT_EQ(PrepareFile(path, 5, &state, "another boot").value(), StartFrom::kFileCheck);
  EXPECT_EQ(PrepareFile(path, 5, &state, "").value(), StartFrom::kFileCheck);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(Resume, UnlinksWhatItDoesNotKnow) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/layer";
  EXPECT_EQ(PrepareFile(path, 5, nullptr, "this boot").value(), StartFrom::kNothing);

  ASSERT_TRUE(base::WriteFileAtomic(path, "12345").ok());
  ResumeState state = StateOf(path);
  // Without a state, too large, another inode, born at another time, a second name, a symbolic
  // link.
  EXPECT_EQ(PrepareFile(path, 5, nullptr, "this boot").value(), StartFrom::kNothing);
  EXPECT_FALSE(std::filesystem::exists(path));

  ASSERT_TRUE(base::WriteFileAtomic(path, "12345").ok());
  state = StateOf(path);
  EXPECT_EQ(PrepareFile(path, 4, &state, "this boot").value(), StartFrom::kNothing);
  EXPECT_FALSE(std::filesystem::exists(path));

  ASSERT_TRUE(base::WriteFileAtomic(path, "12345").ok());
  state = StateOf(path);
  ++state.inode;
  EXPECT_EQ(PrepareFile(path, 5, &state, "this boot").value(), StartFrom::kNothing);

  ASSERT_TRUE(base::WriteFileAtomic(path, "12345").ok());
  state = StateOf(path);
  ++state.birth_ns;
  EXPECT_EQ(PrepareFile(path, 5, &state, "this boot").value(), StartFrom::kNothing);

  ASSERT_TRUE(base::WriteFileAtomic(path, "12345").ok());
  state = StateOf(path);
  ASSERT_EQ(::link(path.c_str(), (path + ".second").c_str()), 0);
  EXPECT_EQ(PrepareFile(path, 5, &state, "this boot").value(), StartFrom::kNothing);
  EXPECT_FALSE(std::filesystem::exists(path));

  ASSERT_EQ(::symlink((path + ".second").c_str(), path.c_str()), 0);
  state = StateOf(path);
  EXPECT_EQ(PrepareFile(path, 5, &state, "this boot").value(), StartFrom::kNothing);
  EXPECT_EQ(base::ReadFile(path + ".second").value(), "12345");
}

TEST(SealFile, MakesAWholeFileReadOnlyAndRefusesAShortOne) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/layer";
  ASSERT_TRUE(base::WriteFileAtomic(path, "12345").ok());
  const auto fd = base::OpenFile(path, O_RDONLY);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(SealFile(fd->get(), dir.path(), 6).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(SealFile(fd->get(), dir.path(), 5).ok());
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0444U);
}

TEST(BootId, IsKnownHere) {
  EXPECT_FALSE(BootId().empty());
  EXPECT_EQ(BootId(), BootId());
}

}  // namespace
}  // namespace eagle::swarm
