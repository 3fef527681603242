#include <cstddef>
#include <cstdint>
#include <string>

#include "lib/config/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto document = eagle::config::Document::Parse(
      std::string(reinterpret_cast<const char*>(data), size), "fuzz.yaml");
  if (!document.ok()) return 0;
  std::int64_t number = 0;
  std::vector<std::string> strings;
  eagle::base::ByteSize bytes;
  eagle::base::ByteRate rate;
  std::chrono::milliseconds wait{};
  auto root = document->Root();
  root.Int("a", &number, 0, 10);
  root.Strings("list", &strings);
  root.Map("map", [&](eagle::config::Section& map) {
    map.Size("size", &bytes);
    map.Duration("wait", &wait);
  });
  root.Table("table",
             [&](const std::string&, eagle::config::Section& row) { row.Rate("rate", &rate); });
  (void)document->Finish();
  return 0;
}
