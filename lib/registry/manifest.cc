#include "lib/registry/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace eagle::registry {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxItems = 1'000;
constexpr std::int64_t kSchemaVersion = 2;

std::string Text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("not an image's manifest: {}", what));
}

bool IsImageLayer(std::string_view type) {
  return type.starts_with("application/vnd.oci.image.layer.v1.") ||
         type.starts_with("application/vnd.docker.image.rootfs.diff.");
}

bool IsImageManifest(std::string_view type) {
  return type == "application/vnd.oci.image.manifest.v1+json" ||
         type == "application/vnd.docker.distribution.manifest.v2+json";
}

// The array under `key`, nothing when there is none.
absl::StatusOr<const Json*> Items(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) return nullptr;
  if (!it->is_array()) return Bad(fmt::format("\"{}\" is no list", key));
  if (it->size() > kMaxItems) return Bad(fmt::format("\"{}\" has over {} items", key, kMaxItems));
  for (const Json& item : *it) {
    if (!item.is_object()) return Bad(fmt::format("\"{}\" holds what is no descriptor", key));
  }
  return &*it;
}

absl::Status ReadLayers(const Json& items, std::vector<ManifestLayer>* out) {
  for (const Json& item : items) {
    if (!IsImageLayer(Text(item, "mediaType"))) continue;
    const auto digest = base::Digest::Parse(Text(item, "digest"));
    if (!digest.ok()) return Bad(base::Message(digest.status()));
    const auto size = item.find("size");
    if (size == item.end() || !size->is_number_integer() ||
        (size->is_number_unsigned() && size->get<std::uint64_t>() > INT64_MAX) ||
        size->get<std::int64_t>() <= 0) {
      return Bad("a layer has no size");
    }
    const ManifestLayer layer{*digest, size->get<std::int64_t>()};
    const auto known = std::find_if(out->begin(), out->end(), [&](const ManifestLayer& other) {
      return other.digest == layer.digest;
    });
    if (known == out->end()) out->push_back(layer);
  }
  return absl::OkStatus();
}

absl::Status ReadEntries(const Json& items, std::vector<Manifest::Entry>* out) {
  for (const Json& item : items) {
    const auto platform = item.find("platform");
    if (!IsImageManifest(Text(item, "mediaType")) || platform == item.end() ||
        !platform->is_object()) {
      continue;
    }
    const auto digest = base::Digest::Parse(Text(item, "digest"));
    if (!digest.ok()) return Bad(base::Message(digest.status()));
    out->push_back(
        {*digest,
         {Text(*platform, "os"), Text(*platform, "architecture"), Text(*platform, "variant")}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Platform> Platform::Parse(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    if (c == '/') {
      parts.emplace_back();
    } else if (allowed) {
      parts.back() += c;
    } else {
      parts.clear();
      break;
    }
  }
  const bool whole = std::none_of(parts.begin(), parts.end(),
                                  [](const std::string& part) { return part.empty(); });
  if (parts.size() < 2 || parts.size() > 3 || !whole) {
    return absl::InvalidArgumentError("a platform is os/architecture[/variant], as linux/amd64");
  }
  return Platform{parts[0], parts[1], parts.size() == 3 ? parts[2] : ""};
}

std::string Platform::str() const {
  return fmt::format("{}/{}{}{}", os, architecture, variant.empty() ? "" : "/", variant);
}

bool Platform::Matches(const Platform& other) const {
  return os == other.os && architecture == other.architecture &&
         (variant.empty() || variant == other.variant);
}

absl::StatusOr<Manifest> Manifest::Parse(std::string_view text) {
  if (static_cast<std::int64_t>(text.size()) > kMaxManifestBytes) return Bad("it is too large");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Bad("it is no JSON object");
  const auto version = json.find("schemaVersion");
  if (version == json.end() || !version->is_number_integer() || *version != kSchemaVersion) {
    return Bad("its schemaVersion is not 2; push the image again with a newer tool");
  }
  EAGLE_ASSIGN_OR_RETURN(const Json* const layers, Items(json, "layers"));
  EAGLE_ASSIGN_OR_RETURN(const Json* const entries, Items(json, "manifests"));
  if ((layers == nullptr) == (entries == nullptr)) {
    return Bad("it must have either layers or manifests");
  }
  Manifest manifest;
  manifest.is_index = entries != nullptr;
  if (layers != nullptr) EAGLE_RETURN_IF_ERROR(ReadLayers(*layers, &manifest.layers));
  if (entries != nullptr) EAGLE_RETURN_IF_ERROR(ReadEntries(*entries, &manifest.entries));
  return manifest;
}

}  // namespace eagle::registry
