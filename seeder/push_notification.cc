#include "seeder/push_notification.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lib/registry/blob_url.h"

namespace eagle::seeder {
namespace {

using registry::ImageName;
using Json = nlohmann::json;

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(std::string(what));
}

// The member of that name in any case, preferring the exact one; nullptr when there is none.
const Json* Member(const Json& object, const std::string& name) {
  if (!object.is_object()) return nullptr;
  if (const auto it = object.find(name); it != object.end()) return &*it;
  const std::string lower = registry::ToLower(name);
  for (const auto& [key, value] : object.items()) {
    if (key.size() == lower.size() && registry::ToLower(key) == lower) return &value;
  }
  return nullptr;
}

std::string Text(const Json& object, const std::string& name) {
  const Json* const member = Member(object, name);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

absl::StatusOr<Json> ParseObject(std::string_view body) {
  Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Bad("the body is no JSON object");
  return json;
}

// The list `name`; INVALID_ARGUMENT without one.
absl::StatusOr<const Json*> List(const Json& object, const std::string& name) {
  const Json* const list = Member(object, name);
  if (list == nullptr || !list->is_array())
    return Bad(fmt::format("there is no list \"{}\"", name));
  if (list->size() > kMaxNotifiedImages) {
    return Bad(fmt::format("\"{}\" has more than {} entries", name, kMaxNotifiedImages));
  }
  return list;
}

bool IsImage(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.manifest.v1+json" ||
         media_type == "application/vnd.oci.image.index.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.v2+json" ||
         media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

// "host[:port]" of an URL; "" when it is none.
std::string HostOf(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  url.remove_prefix(scheme + 3);
  return std::string(url.substr(0, url.find('/')));
}

void AddOnce(ImageName image, std::vector<ImageName>* images) {
  if (std::find(images->begin(), images->end(), image) == images->end()) {
    images->push_back(std::move(image));
  }
}

// An image in full; docker's rules for short names do not apply to what a registry says.
absl::StatusOr<ImageName> NameOf(const std::string& host, const std::string& repository,
                                 const std::string& reference) {
  if (host.find_first_of("/@") != std::string::npos || host.empty()) {
    return Bad("the registry's host is missing or malformed");
  }
  // A host without a dot or port would be read as part of a repository.
  const bool plain = host.find_first_of(".:") == std::string::npos;
  return ImageName::Parse(fmt::format("{}{}/{}{}", host, plain ? ":0" : "", repository, reference));
}

absl::Status AddEvent(const Json& event, std::vector<ImageName>* images) {
  const Json* const target = Member(event, "target");
  if (Text(event, "action") != "push" || target == nullptr) return absl::OkStatus();
  const std::string tag = Text(*target, "tag");
  if (tag.empty() || !IsImage(Text(*target, "mediaType"))) return absl::OkStatus();
  std::string host;
  if (const Json* const request = Member(event, "request")) host = Text(*request, "host");
  if (host.empty()) host = HostOf(Text(*target, "url"));
  std::string reference = ":" + tag;
  // Harbor's Kraken provider may leave it out.
  if (const std::string digest = Text(*target, "digest"); !digest.empty()) {
    reference += "@" + digest;
  }
  EAGLE_ASSIGN_OR_RETURN(ImageName image, NameOf(host, Text(*target, "repository"), reference));
  AddOnce(std::move(image), images);
  return absl::OkStatus();
}

// "<host>/<repository>:<tag>", where the tag may also be "sha256:<hex>" after an @.
absl::Status AddResource(const Json& resource, std::vector<ImageName>* images) {
  const std::string tag = Text(resource, "tag");
  const std::string url = Text(resource, "resource_url");
  const std::string digest = Text(resource, "digest");
  if (!registry::IsTag(tag)) return absl::OkStatus();
  const std::size_t slash = url.find('/');
  if (slash == std::string::npos) return Bad("a resource_url is no <host>/<repository>:<tag>");
  std::string repository = url.substr(slash + 1);
  repository = repository.substr(0, repository.find_first_of(":@"));
  EAGLE_ASSIGN_OR_RETURN(ImageName image, NameOf(url.substr(0, slash), repository,
                                                 ":" + tag + (digest.empty() ? "" : "@" + digest)));
  AddOnce(std::move(image), images);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ImageName>> ParseDistributionEvents(std::string_view body) {
  EAGLE_ASSIGN_OR_RETURN(const Json json, ParseObject(body));
  EAGLE_ASSIGN_OR_RETURN(const Json* const events, List(json, "events"));
  std::vector<ImageName> images;
  for (const Json& event : *events) EAGLE_RETURN_IF_ERROR(AddEvent(event, &images));
  return images;
}

absl::StatusOr<std::vector<ImageName>> ParseHarborWebhook(std::string_view body) {
  EAGLE_ASSIGN_OR_RETURN(const Json json, ParseObject(body));
  const std::string type = Text(json, "type");
  if (type.empty()) return Bad("there is no \"type\"");
  std::vector<ImageName> images;
  if (type != "PUSH_ARTIFACT" && type != "harbor.artifact.pushed") return images;
  const Json* const data = Member(json, type == "PUSH_ARTIFACT" ? "event_data" : "data");
  if (data == nullptr) return Bad("there is no data of the event");
  EAGLE_ASSIGN_OR_RETURN(const Json* const resources, List(*data, "resources"));
  for (const Json& resource : *resources) EAGLE_RETURN_IF_ERROR(AddResource(resource, &images));
  return images;
}

absl::StatusOr<ImageName> ParsePreheatCall(std::string_view body) {
  constexpr std::string_view kApi = "/v2/";
  constexpr std::string_view kManifests = "/manifests/";
  EAGLE_ASSIGN_OR_RETURN(const Json json, ParseObject(body));
  if (Text(json, "type") != "image") return Bad("\"type\" must be \"image\"");
  const std::string url = Text(json, "url");
  const std::string host = HostOf(url);
  const std::size_t api = url.find(kApi);
  const std::size_t manifests = url.rfind(kManifests);
  const bool whole = !host.empty() && api != std::string::npos && manifests != std::string::npos &&
                     url.find("://" + host + "/v2/") + 3 + host.size() == api &&
                     manifests >= api + kApi.size();
  if (!whole)
    return Bad("\"url\" must be https://<registry>/v2/<repository>/manifests/<reference>");
  const std::string reference = url.substr(manifests + kManifests.size());
  const std::size_t repository = api + kApi.size();
  return NameOf(host, url.substr(repository, manifests - repository),
                (base::Digest::Parse(reference).ok() ? "@" : ":") + reference);
}

}  // namespace eagle::seeder
