#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/registry/blob_url.h"
#include "lib/registry/http_get.h"
#include "lib/registry/http_url.h"

using eagle::registry::BlobUrl;
using eagle::registry::ContentRange;
using eagle::registry::HttpUrl;

// The three texts that come from outside: a node's url, a registry's Location and Content-Range.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto url = BlobUrl::Parse(text); url.ok()) {
    const auto again = BlobUrl::Parse(url->str());
    if (!again.ok() || *again != *url) std::abort();
  }
  const HttpUrl base{true, "registry.example.com", 443, "/v2/app/blobs/x"};
  for (const auto& url : {HttpUrl::Parse(text), base.Resolve(text)}) {
    if (!url.ok()) continue;
    const auto again = HttpUrl::Parse(url->str());
    if (!again.ok() || *again != *url) std::abort();
  }
  (void)ContentRange::Parse(text);
  return 0;
}
