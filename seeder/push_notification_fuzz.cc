#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "seeder/push_notification.h"

using eagle::registry::ImageName;

namespace {

// An image that a notification names is one that could be written so.
void Check(const ImageName& image) {
  if (image.registry.empty() || image.repository.empty() || image.reference().empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto& images :
       {eagle::seeder::ParseDistributionEvents(body), eagle::seeder::ParseHarborWebhook(body)}) {
    if (!images.ok()) continue;
    if (images->size() > eagle::seeder::kMaxNotifiedImages) std::abort();
    for (const ImageName& image : *images) Check(image);
  }
  if (const auto image = eagle::seeder::ParsePreheatCall(body); image.ok()) Check(*image);
  return 0;
}
