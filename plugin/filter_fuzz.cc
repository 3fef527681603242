#include <cstddef>
#include <cstdint>
#include <string>

#include "plugin/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto filter =
      eagle::plugin::Filter::Parse({std::string(reinterpret_cast<const char*>(data), size)});
  if (!filter.ok()) return 0;
  (void)filter->Matches([](std::span<const std::string> path) -> std::optional<std::string> {
    if (path.size() == 1 && path[0] == "digest") return "sha256:0123";
    return std::nullopt;
  });
  return 0;
}
