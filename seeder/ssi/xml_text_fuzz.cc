#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "seeder/ssi/xml_text.h"

// What an S3 service answers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);
  for (const auto& object : eagle::ssi::XmlTexts(xml, "Contents")) {
    (void)eagle::ssi::XmlText(object, "Key");
    // Nothing that is found is longer than what it was found in.
    if (object.size() > size) std::abort();
  }
  for (const char* name : {"UploadId", "Code", "NextContinuationToken"}) {
    (void)eagle::ssi::XmlText(xml, name);
  }
  return 0;
}
