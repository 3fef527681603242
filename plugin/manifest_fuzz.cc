#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "plugin/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto layers = eagle::plugin::ParseManifestLayers(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (!layers) return 0;
  if (layers->empty()) std::abort();
  for (const auto& layer : *layers) {
    if (layer.size_bytes < 0) std::abort();
  }
  return 0;
}
