#include <cstddef>
#include <cstdint>
#include <string>

#include "lib/base/digest.h"
#include "plugin/apply/decompressor.h"

namespace {

using namespace eagle::apply;

constexpr std::size_t kMostBytes = std::size_t{8} << 20;

// The output, or nothing after an error.
std::string Drain(Decompressor& decompressor) {
  std::string out;
  std::string block(100'000, '\0');
  while (out.size() < kMostBytes) {
    const auto size = decompressor.Read(block.data(), block.size());
    if (!size.ok()) return "";
    out.append(block, 0, *size);
    if (*size < block.size()) break;
  }
  return out;
}

}  // namespace

// The first byte is the size of the pieces that the stream comes in. Both inflaters must agree.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = data[0] == 0 ? stream.size() + 1 : data[0];
  MemorySource source(stream, piece);
  const auto opened = OpenDecompressor(source, Compression::kDetect);
  if (!opened.ok()) return 0;
  const std::string out = Drain(**opened);
  if (DetectFormat(stream) != Format::kGzip) return 0;
  const auto by_zlib =
      MakeGzipDecompressor(std::make_unique<MemorySource>(stream, piece), MakeZlibInflater());
  if (Drain(*by_zlib) != out) __builtin_trap();
  return 0;
}
