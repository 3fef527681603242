#include "plugin/apply/decompressor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "plugin/apply/media_type.h"
#include "plugin/apply/testing/tar_builder.h"

namespace eagle::apply {
namespace {

using testing::Gzip;
using testing::Zstd;

absl::StatusOr<std::string> Drain(Decompressor& decompressor, std::size_t block) {
  std::string out;
  std::string part(block, '\0');
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(const std::size_t size, decompressor.Read(part.data(), part.size()));
    out.append(part, 0, size);
    if (size < block) return out;
  }
}

absl::StatusOr<std::string> Decompress(std::string_view data, std::size_t piece = 1 << 20,
                                       std::size_t block = 1 << 16,
                                       Compression compression = Compression::kDetect) {
  MemorySource source(data, piece);
  EAGLE_ASSIGN_OR_RETURN(const auto decompressor, OpenDecompressor(source, compression));
  return Drain(*decompressor, block);
}

// Compressible, but not trivially: words from a small alphabet.
std::string Text(std::size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) text.append(random() % 60 + 1, static_cast<char>('a' + random() % 26));
  return text;
}

// Of which every bit of the compressed form matters.
std::string Digits(std::size_t size) {
  std::mt19937 random(8);
  std::string text;
  while (text.size() < size) text += "0123456789abcdef"[random() % 16];
  return text;
}

std::string SkippableFrame(std::string_view data) {
  std::string frame("\x53\x2a\x4d\x18", 4);
  for (int i = 0; i < 4; ++i) frame += static_cast<char>(data.size() >> (8 * i));
  return frame + std::string(data);
}

std::string WithExtras(std::string gzip, bool header_crc) {
  // Extra field, name and comment between the fixed header and the data; flags 4, 8 and 16.
  std::string head = gzip.substr(0, 10);
  head[3] = static_cast<char>(4 | 8 | 16);
  head += std::string("\3\0abc", 5) + "name" + '\0' + "comment" + '\0';
  if (header_crc) head[3] = static_cast<char>(head[3] | 2), head += "\1\2";
  return head + gzip.substr(10);
}

TEST(Decompressor, DetectsTheFormatByTheFirstBytes) {
  EXPECT_EQ(DetectFormat(Gzip("x")), Format::kGzip);
  EXPECT_EQ(DetectFormat(Zstd("x")), Format::kZstd);
  EXPECT_EQ(DetectFormat(SkippableFrame("meta")), Format::kZstd);
  EXPECT_EQ(DetectFormat("\x50\x2a\x4d\x18"), Format::kPlain) << "a skippable frame has 8 bytes";
  EXPECT_EQ(DetectFormat("\x1f\x8b\x00"), Format::kPlain) << "not deflate";
  EXPECT_EQ(DetectFormat(""), Format::kPlain);
}

TEST(Decompressor, ReadsAllFormatsInAnyPieces) {
  const std::string text = Text(300'000);
  for (const std::string& data : {text, Gzip(text), Gzip(text, 0), Zstd(text)}) {
    for (const std::size_t piece : {1U, 3U, 4096U, 1U << 20}) {
      for (const std::size_t block : {1000U, 65536U, 1U << 20}) {
        const auto out = Decompress(data, piece, block);
        ASSERT_TRUE(out.ok()) << out.status();
        ASSERT_EQ(*out == text, true);
      }
    }
  }
}

TEST(Decompressor, WithoutDetectionCompressedBytesStayAsTheyAre) {
  const std::string data = Gzip("text");
  EXPECT_EQ(*Decompress(data, 100, 100, Compression::kNone), data);
}

TEST(Decompressor, NothingIsAnEmptyStream) {
  EXPECT_EQ(*Decompress(""), "");
  EXPECT_EQ(*Decompress("ab"), "ab");
}

TEST(Decompressor, AllMembersOfAGzipFileAreRead) {
  const std::string text = Text(100'000);
  const std::string data = Gzip(text) + Gzip("") + WithExtras(Gzip("middle"), false) + Gzip(text);
  for (const std::size_t piece : {1U, 5000U, 1U << 20}) {
    const auto out = Decompress(data, piece);
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(*out == text + "middle" + text, true);
  }
}

TEST(Decompressor, AllFramesOfAZstdFileAreReadAndSkippableOnesSkipped) {
  const std::string text = Text(100'000);
  const std::string data = SkippableFrame("first") + Zstd(text) + SkippableFrame("toc") +
                           Zstd("end") + SkippableFrame("");
  for (const std::size_t piece : {1U, 5000U, 1U << 20}) {
    const auto out = Decompress(data, piece);
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(*out == text + "end", true);
  }
}

TEST(Decompressor, TruncationIsDataLossWhereverItIs) {
  const std::string text = Text(5'000);
  for (const std::string& data : {Gzip(text), Zstd(text), Gzip(text) + Gzip(text)}) {
    for (std::size_t size = 11; size < data.size(); size += 13) {
      if (size == Gzip(text).size()) continue;
      const auto out = Decompress(std::string_view(data).substr(0, size));
      ASSERT_EQ(out.status().code(), absl::StatusCode::kDataLoss) << size << " of " << data.size();
    }
    EXPECT_FALSE(Decompress(std::string_view(data).substr(0, data.size() - 1)).ok());
  }
}

TEST(Decompressor, DamageIsDataLoss) {
  const std::string text = Digits(50'000);
  for (const std::string& good : {Gzip(text), Zstd(text)}) {
    for (std::size_t at = 40; at < good.size(); at += good.size() / 20) {
      std::string data = good;
      data[at] = static_cast<char>(data[at] ^ 0x10);
      const auto out = Decompress(data);
      // zstd without a checksum may not notice, gzip must.
      EXPECT_EQ(out.value_or("") != text, true) << at;
      EXPECT_FALSE(out.ok() && DetectFormat(data) == Format::kGzip) << at;
    }
  }
  std::string crc = Gzip(text);
  crc[crc.size() - 8] = static_cast<char>(crc[crc.size() - 8] ^ 1);
  EXPECT_EQ(Decompress(crc).status().code(), absl::StatusCode::kDataLoss);
  std::string length = Gzip(text);
  length.back() = static_cast<char>(length.back() ^ 1);
  EXPECT_EQ(Decompress(length).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Decompressor, AnythingAfterTheLastMemberOrFrameIsDataLoss) {
  for (const std::string& data : {Gzip("x"), Zstd("x")}) {
    EXPECT_EQ(Decompress(data + "garbage").status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(Decompress(data + std::string(512, '\0')).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST(Decompressor, GzipHeaderChecksumIsChecked) {
  EXPECT_EQ(Decompress(WithExtras(Gzip("x"), true)).status().code(), absl::StatusCode::kDataLoss);
}

// Both inflaters on the same input must agree, whichever the build prefers.
TEST(Decompressor, BothInflatersAgree) {
  const std::string text = Text(200'000);
  const std::string data = Gzip(text) + Gzip(text, 1);
  for (auto make : {&MakeZlibInflater, &MakeIsalInflater}) {
    auto inflater = make();
    if (inflater == nullptr) continue;
    const auto reader =
        MakeGzipDecompressor(std::make_unique<MemorySource>(data, 777), std::move(inflater));
    const auto out = Drain(*reader, 10'000);
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(*out == text + text, true);
  }
}

TEST(MediaType, SaysWhetherALayerMayBeCompressed) {
  const auto of = [](std::string_view type) { return CompressionOf(type).value(); };
  EXPECT_EQ(of("application/vnd.oci.image.layer.v1.tar"), Compression::kNone);
  EXPECT_EQ(of("application/vnd.oci.image.layer.v1.tar+gzip"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.oci.image.layer.v1.tar+zstd"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            Compression::kDetect);
  EXPECT_EQ(of("application/vnd.docker.image.rootfs.diff.tar"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.docker.image.rootfs.diff.tar.gzip"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.docker.image.rootfs.diff.tar.zstd"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.docker.image.rootfs.diff.tar.gzip+wrapped"), Compression::kNone);
  EXPECT_EQ(of("application/vnd.oci.image.layer.v1.tar+zstd+a"), Compression::kDetect);
  EXPECT_EQ(of("application/vnd.oci.image.layer.v1.tar+zz+gzip"), Compression::kNone);
}

TEST(MediaType, WhatIsNoLayerOrEncryptedIsUnimplemented) {
  for (const std::string_view type :
       {"", "application/vnd.oci.image.manifest.v1+json", "application/vnd.erofs.layer.v1",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        "application/vnd.docker.image.rootfs.diff.tar.gzip+encrypted"}) {
    EXPECT_EQ(CompressionOf(type).status().code(), absl::StatusCode::kUnimplemented) << type;
  }
}

}  // namespace
}  // namespace eagle::apply
