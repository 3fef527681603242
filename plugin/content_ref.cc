#include "plugin/content_ref.h"

#include <algorithm>

namespace eagle::plugin {
namespace {

// containerd's bound on identifiers.
constexpr std::size_t kMaxNamespaceBytes = 76;

// containerd's identifier grammar, a little wider: what may stand in gRPC metadata.
bool IsNamespace(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNamespaceBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() <= 20 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

ContentRef::Kind ParseKind(std::string_view text) {
  if (text == "layer") return ContentRef::Kind::kLayer;
  if (text == "manifest") return ContentRef::Kind::kManifest;
  if (text == "index") return ContentRef::Kind::kIndex;
  return ContentRef::Kind::kOther;
}

}  // namespace

std::optional<ContentRef> ParseContentRef(std::string_view ref) {
  const std::size_t first = ref.find('/');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = ref.find('/', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string_view last = ref.substr(second + 1);
  const std::size_t dash = last.find('-');
  if (dash == std::string_view::npos || last.find('/') != std::string_view::npos ||
      !IsNamespace(ref.substr(0, first)) || !IsNumber(ref.substr(first + 1, second - first - 1))) {
    return std::nullopt;
  }
  const auto digest = base::Digest::Parse(last.substr(dash + 1));
  if (!digest.ok()) return std::nullopt;
  return ContentRef{.kind = ParseKind(last.substr(0, dash)),
                    .containerd_namespace = std::string(ref.substr(0, first)),
                    .digest = *digest};
}

}  // namespace eagle::plugin
