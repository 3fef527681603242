#include "plugin/apply/testing/tar_builder.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>

namespace eagle::apply::testing {
namespace {

constexpr std::size_t kBlock = 512;

void Put(std::string* block, std::size_t at, std::size_t size, std::string_view text) {
  std::memcpy(block->data() + at, text.data(), std::min(size, text.size()));
}

// Octal, or base 256 where that does not fit.
void PutNumber(std::string* block, std::size_t at, std::size_t size, std::int64_t value) {
  const std::size_t bits = 3 * (size - 1);
  if (value >= 0 && (bits >= 63 || value < (std::int64_t{1} << bits))) {
    Put(block, at, size, fmt::format("{:0{}o}", value, size - 1));
    return;
  }
  for (std::size_t i = size; i > 0; --i) {
    (*block)[at + i - 1] = static_cast<char>(value & 0xff);
    value >>= 8;
  }
  (*block)[at] = static_cast<char>((*block)[at] | 0x80);
}

}  // namespace

void TarBuilder::SetChecksum(std::string* block) {
  Put(block, 148, 8, "        ");
  unsigned int sum = 0;
  for (const char c : *block) sum += static_cast<unsigned char>(c);
  Put(block, 148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
}

std::string TarBuilder::Header(const Entry& entry) {
  std::string block(kBlock, '\0');
  Put(&block, 0, 100, entry.name);
  PutNumber(&block, 100, 8, entry.mode);
  PutNumber(&block, 108, 8, entry.uid);
  PutNumber(&block, 116, 8, entry.gid);
  const std::int64_t size =
      entry.size >= 0 ? entry.size : static_cast<std::int64_t>(entry.data.size());
  PutNumber(&block, 124, 12, size);
  PutNumber(&block, 136, 12, entry.mtime);
  block[156] = entry.type;
  Put(&block, 157, 100, entry.link);
  Put(&block, 257, 8, std::string_view("ustar\00000", 8));
  PutNumber(&block, 329, 8, entry.major);
  PutNumber(&block, 337, 8, entry.minor);
  SetChecksum(&block);
  return block;
}

std::string TarBuilder::PaxRecord(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t size = rest + 1;
  while (size != rest + std::to_string(size).size()) size = rest + std::to_string(size).size();
  return fmt::format("{} {}={}\n", size, key, value);
}

void TarBuilder::Padded(std::string_view data) {
  bytes_ += data;
  bytes_.resize((bytes_.size() + kBlock - 1) / kBlock * kBlock, '\0');
}

TarBuilder& TarBuilder::Add(const Entry& entry) {
  std::map<std::string, std::string> pax = entry.pax;
  if (entry.name.size() > 100) pax.emplace("path", entry.name);
  if (entry.link.size() > 100) pax.emplace("linkpath", entry.link);
  if (!pax.empty()) {
    std::string records;
    for (const auto& [key, value] : pax) records += PaxRecord(key, value);
    bytes_ += Header({.type = 'x', .name = "pax", .data = records});
    Padded(records);
  }
  bytes_ += Header(entry);
  Padded(entry.data);
  return *this;
}

TarBuilder& TarBuilder::File(std::string_view name, std::string_view data) {
  return Add({.name = std::string(name), .data = std::string(data)});
}

TarBuilder& TarBuilder::Dir(std::string_view name, std::int64_t mode) {
  return Add({.type = '5', .name = std::string(name), .mode = mode});
}

TarBuilder& TarBuilder::Symlink(std::string_view name, std::string_view target) {
  return Add({.type = '2', .name = std::string(name), .link = std::string(target), .mode = 0777});
}

TarBuilder& TarBuilder::HardLink(std::string_view name, std::string_view target) {
  return Add({.type = '1', .name = std::string(name), .link = std::string(target)});
}

TarBuilder& TarBuilder::Bytes(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

std::string TarBuilder::Finish() const {
  return bytes_ + std::string(2 * kBlock, '\0');
}

std::string Gzip(std::string_view data, int level) {
  constexpr int kGzip = 16;
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    std::abort();
  }
  std::string out(deflateBound(&stream, data.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view data, int level) {
  std::string out(ZSTD_compressBound(data.size()), '\0');
  const std::size_t size = ZSTD_compress(out.data(), out.size(), data.data(), data.size(), level);
  if (ZSTD_isError(size) != 0) std::abort();
  out.resize(size);
  return out;
}

}  // namespace eagle::apply::testing
