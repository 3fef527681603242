#include "lib/swarm/torrent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <libtorrent/bencode.hpp>
#include <libtorrent/create_torrent.hpp>
#include <libtorrent/torrent_info.hpp>

#include "lib/testing/temp_dir.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;
using ::testing::HasSubstr;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr std::int64_t kGiB = 1024 * kMiB;

std::string Pattern(std::size_t size) {
  std::string data(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : data) {
    state = state * 1'664'525U + 1'013'904'223U;
    byte = static_cast<char>(state >> 24);
  }
  return data;
}

std::string Make(std::string_view data, std::size_t chunk = 10'007) {
  TorrentBuilder builder(static_cast<std::int64_t>(data.size()));
  for (std::size_t at = 0; at < data.size(); at += chunk) builder.Update(data.substr(at, chunk));
  auto metainfo = builder.Finish(base::Digest::Of(data));
  EXPECT_TRUE(metainfo.ok()) << metainfo.status();
  return metainfo.value_or("");
}

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(PieceLength, KeepsTheTableThatAllSeedersShare) {
  const std::pair<std::int64_t, std::int64_t> table[] = {
      {0, 64 * kKiB},           {1, 64 * kKiB},
      {64 * kMiB, 64 * kKiB},   {64 * kMiB + 1, 128 * kKiB},
      {128 * kMiB, 128 * kKiB}, {200 * kMiB, 256 * kKiB},
      {1 * kGiB, 1 * kMiB},     {4 * kGiB, 4 * kMiB},
      {5 * kGiB, 4 * kMiB},     {63 * kGiB, 4 * kMiB},
      {64 * kGiB, 8 * kMiB},    {1024 * kGiB, 128 * kMiB},
  };
  for (const auto& [size, length] : table) EXPECT_EQ(PieceLengthFor(size), length) << size;
}

TEST(TorrentBuilder, MakesTheGoldenBytes) {
  const std::string expected =
      std::string("d4:infod6:lengthi11e4:name64:") +
      "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" +
      "12:piece lengthi65536e6:pieces20:" +
      "\x2a\xae\x6c\x35\xc9\x4f\xcf\xb4\x15\xdb\xe9\x5f\x40\x8b\x9c\xe9\x1e\xe8\x46\xed" +
      "7:privatei1eee";
  EXPECT_EQ(Make("hello world"), expected);
}

TEST(TorrentBuilder, IsIndifferentToHowTheBytesCome) {
  const std::string data = Pattern(300'000);
  EXPECT_EQ(Make(data, 1), Make(data, 65'536));
  EXPECT_EQ(Make(data, 300'000), Make(data, 65'536));
}

TEST(TorrentBuilder, AgreesWithLibtorrentsOwnTorrent) {
  const std::string data = Pattern(5 * 65'536 + 123);
  const base::Digest digest = base::Digest::Of(data);
  testing::TempDir dir;
  std::ofstream(dir.path() + "/" + digest.hex(), std::ios::binary) << data;

  lt::file_storage files;
  files.add_file(digest.hex(), static_cast<std::int64_t>(data.size()));
  lt::create_torrent creator(files, 65'536, lt::create_torrent::v1_only);
  creator.set_priv(true);
  lt::set_piece_hashes(creator, dir.path());
  std::vector<char> theirs;
  lt::bencode(std::back_inserter(theirs), creator.generate());
  const lt::torrent_info info(theirs, lt::from_span);

  const auto ours = ParseTorrent(Make(data));
  ASSERT_TRUE(ours.ok()) << ours.status();
  EXPECT_EQ(ours->info_hash, info.info_hashes().v1.to_string());
  EXPECT_EQ(ours->digest, digest);
  EXPECT_EQ(ours->size_bytes, 5 * 65'536 + 123);
  EXPECT_EQ(ours->piece_length, 65'536);
}

TEST(TorrentBuilder, RefusesAnotherLengthThanStated) {
  for (const std::string_view given : {"hello", "hello world and more"}) {
    TorrentBuilder builder(11);
    builder.Update(given);
    EXPECT_EQ(builder.Finish(base::Digest::Of(given)).status().code(),
              absl::StatusCode::kFailedPrecondition);
  }
}

TEST(TorrentBuilder, RefusesAnEmptyLayerByName) {
  const auto status = TorrentBuilder(0).Finish(base::Digest::Of("")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("empty layer"));
}

TEST(ParseTorrent, IgnoresWhatIsBesideTheInfoDictionary) {
  const std::string metainfo = Make("hello world");
  const auto plain = ParseTorrent(metainfo);
  const auto with_tracker =
      ParseTorrent("d8:announce22:http://evil.example/an" + metainfo.substr(1));
  ASSERT_TRUE(with_tracker.ok()) << with_tracker.status();
  EXPECT_EQ(plain->info_hash, with_tracker->info_hash);
}

TEST(ParseTorrent, RefusesWhatIsNotALayersTorrent) {
  const std::string good = Make("hello world");
  const std::string hex = base::Digest::Of("hello world").hex();
  const std::string bad[] = {
      "",
      "d",
      "i1e",
      "de",
      "d4:infodee",
      "d4:info3:abce",
      good.substr(0, good.size() - 1),
      Replaced(good, "7:privatei1e", "7:privatei0e"),
      Replaced(good, "7:privatei1e", ""),
      Replaced(good, "7:privatei1e", "7:privatei1e6:source1:x"),
      Replaced(good, "lengthi11e", "lengthi0e"),
      Replaced(good, "lengthi11e", "lengthi-11e"),
      Replaced(good, "lengthi11e", "lengthi011e"),
      Replaced(good, "lengthi11e", "lengthi99999999999999e"),
      Replaced(good, "lengthi11e", "lengthi100000e"),
      Replaced(good, "piece lengthi65536e", "piece lengthi32768e"),
      Replaced(good, "piece lengthi65536e", "piece lengthi0e"),
      Replaced(good, "pieces20:", "pieces19:"),
      Replaced(good, "64:" + hex, "4:name"),
      Replaced(good, "64:" + hex, "64:" + std::string("../") + hex.substr(3)),
      Replaced(good, "d6:length", "d5:filesle6:length"),
      std::string(2 << 20, 'x'),
      std::string(100'000, 'l'),
  };
  for (const std::string& metainfo : bad) {
    EXPECT_EQ(ParseTorrent(metainfo).status().code(), absl::StatusCode::kInvalidArgument)
        << metainfo.substr(0, 200);
  }
}

}  // namespace
}  // namespace eagle::swarm
