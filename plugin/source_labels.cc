#include "plugin/source_labels.h"

#include <algorithm>

namespace eagle::plugin {
namespace {

constexpr std::string_view kPrefix = "containerd.io/distribution.source.";
constexpr std::size_t kMaxNameBytes = 255;

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// A host name or an IP literal (IPv6 comes without brackets).
bool IsHost(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsAlphanumeric(c) || c == '.' || c == '-' || c == '_' || c == ':';
         });
}

// Path components of the OCI distribution spec, a little wider; none is "." or "..".
bool IsRepository(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  while (true) {
    const std::size_t slash = text.find('/');
    const std::string_view part = text.substr(0, slash);
    const bool good = !part.empty() && IsAlphanumeric(part.front()) &&
                      std::all_of(part.begin(), part.end(), [](char c) {
                        return IsAlphanumeric(c) || c == '.' || c == '-' || c == '_';
                      });
    if (!good) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

}  // namespace

std::vector<LayerSource> ParseSourceLabel(std::string_view key, std::string_view value) {
  std::vector<LayerSource> sources;
  if (!key.starts_with(kPrefix)) return sources;
  const std::string_view registry = key.substr(kPrefix.size());
  if (!IsHost(registry)) return sources;
  while (true) {
    const std::size_t comma = value.find(',');
    const std::string_view repository = value.substr(0, comma);
    if (IsRepository(repository)) {
      sources.push_back({.registry = std::string(registry), .repository = std::string(repository)});
    }
    if (comma == std::string_view::npos) return sources;
    value.remove_prefix(comma + 1);
  }
}

}  // namespace eagle::plugin
