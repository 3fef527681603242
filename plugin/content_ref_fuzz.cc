#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "plugin/blob_name.h"
#include "plugin/content_ref.h"
#include "plugin/source_labels.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto ref = eagle::plugin::ParseContentRef(text);
  if (ref && (ref->containerd_namespace.empty() ||
              ref->containerd_namespace.find('/') != std::string::npos ||
              !text.ends_with(ref->digest.str()))) {
    std::abort();
  }
  const auto name = eagle::plugin::BlobName::Parse(text);
  if (name.ok() && name->hex().find('/') != std::string_view::npos) std::abort();
  for (const auto& source : eagle::plugin::ParseSourceLabel(
           "containerd.io/distribution.source.registry.example", text)) {
    if (source.repository.find("..") == 0) std::abort();
  }
  (void)eagle::plugin::ParseSourceLabel(text, "library/app");
  return 0;
}
