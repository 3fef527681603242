#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/registry/blob_url.h"
#include "lib/registry/challenge.h"
#include "lib/registry/docker_config.h"
#include "lib/registry/http_transfer.h"
#include "lib/registry/http_url.h"
#include "lib/registry/image_name.h"
#include "lib/registry/manifest.h"
#include "lib/registry/token_request.h"

using eagle::registry::BlobUrl;
using eagle::registry::ContentRange;
using eagle::registry::HttpUrl;

// The texts that come from outside: a node's url, a registry's Location, Content-Range and
// WWW-Authenticate, a token server's answer, its manifests; an image's name; a docker config.json.
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
  if (const auto name = eagle::registry::ImageName::Parse(text); name.ok()) {
    const auto again = eagle::registry::ImageName::Parse(name->str());
    if (!again.ok() || *again != *name) std::abort();
  }
  (void)eagle::registry::Platform::Parse(text);
  if (const auto manifest = eagle::registry::Manifest::Parse(text); manifest.ok()) {
    if (!manifest->layers.empty() && !manifest->entries.empty()) std::abort();
    for (const auto& layer : manifest->layers) {
      if (layer.size_bytes <= 0) std::abort();
    }
  }
  (void)eagle::registry::ParseToken(text);
  if (const auto challenges = eagle::registry::ParseChallenges(text); challenges.ok()) {
    for (const auto& challenge : *challenges) {
      if (challenge.scheme.empty()) std::abort();
      for (const auto& [name, value] : challenge.parameters) {
        if (name.empty() || challenge.Parameter(name) != value) std::abort();
      }
    }
  }
  if (const auto config = eagle::registry::DockerConfig::Parse(text); config.ok()) {
    const eagle::registry::CredentialQuery query{"registry.example", 443, true, "a/b"};
    (void)config->Find(query);
    (void)config->FindHelper(query);
  }
  return 0;
}
