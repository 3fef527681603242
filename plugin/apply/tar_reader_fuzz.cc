#include <cstddef>
#include <cstdint>
#include <string>

#include "plugin/apply/tar_reader.h"
#include "plugin/apply/testing/tar_builder.h"

namespace {

using namespace eagle::apply;

constexpr std::size_t kBlock = 512;

void Read(std::string_view archive, std::size_t piece_bytes) {
  MemorySource source(archive, piece_bytes);
  TarReader reader(source);
  while (true) {
    const auto entry = reader.Next();
    if (!entry.ok() || *entry == nullptr) return;
    std::int64_t end = 0;
    while (true) {
      const auto piece = reader.Read();
      if (!piece.ok() || piece->data.empty()) break;
      if (piece->offset < end) __builtin_trap();
      end = piece->offset + static_cast<std::int64_t>(piece->data.size());
      if (end > (*entry)->size && (*entry)->type == kTypeFile) __builtin_trap();
    }
  }
}

}  // namespace

// The first byte is the size of the pieces that the archive comes in. It is read as it is, and once
// more with every block's checksum made good, since chance never finds one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string archive(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece_bytes = data[0] == 0 ? archive.size() + 1 : data[0];
  Read(archive, piece_bytes);
  for (std::size_t at = 0; at + kBlock <= archive.size(); at += kBlock) {
    std::string block = archive.substr(at, kBlock);
    testing::TarBuilder::SetChecksum(&block);
    archive.replace(at, kBlock, block);
  }
  Read(archive, piece_bytes);
  return 0;
}
