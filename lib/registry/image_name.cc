#include "lib/registry/image_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

constexpr std::size_t kMaxImageBytes = 1024;
constexpr std::size_t kMaxTagBytes = 128;
constexpr std::size_t kMaxPortDigits = 5;
constexpr std::string_view kDockerHub = "docker.io";

bool IsTagByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

bool IsPort(std::string_view text) {
  return !text.empty() && text.size() <= kMaxPortDigits &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

absl::Status NotAnImage(std::string_view why) {
  return absl::InvalidArgumentError(fmt::format(
      "an image is [<registry>/]<repository>[:<tag>][@sha256:<64 hex digits>]: {}", why));
}

// Takes "<registry>[:port]/" off the front of `*text`; docker.io when there is none.
absl::Status TakeRegistry(std::string_view* text, std::string* registry) {
  const std::size_t slash = text->find('/');
  std::string_view first = text->substr(0, slash);
  const bool is_registry =
      slash != std::string_view::npos &&
      (first.find_first_of(".:") != std::string_view::npos || first == "localhost");
  if (!is_registry) {
    *registry = kDockerHub;
    return absl::OkStatus();
  }
  text->remove_prefix(slash + 1);
  if (const std::size_t colon = first.find(':'); colon != std::string_view::npos) {
    if (!IsPort(first.substr(colon + 1))) return NotAnImage("the registry's port is no number");
    first = first.substr(0, colon);
  }
  if (!IsHostName(first)) return NotAnImage("the registry is no host name");
  *registry = ToLower(first);
  if (*registry == "index.docker.io") *registry = kDockerHub;
  return absl::OkStatus();
}

}  // namespace

bool IsTag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTagBytes && text.front() != '.' &&
         text.front() != '-' && std::all_of(text.begin(), text.end(), IsTagByte);
}

absl::StatusOr<ImageName> ImageName::Parse(std::string_view text) {
  if (text.size() > kMaxImageBytes) return NotAnImage("it is too long");
  ImageName name;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    const auto digest = base::Digest::Parse(text.substr(at + 1));
    if (!digest.ok()) return NotAnImage(base::Message(digest.status()));
    name.digest = *digest;
    text = text.substr(0, at);
  }
  EAGLE_RETURN_IF_ERROR(TakeRegistry(&text, &name.registry));
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    if (!IsTag(name.tag)) return NotAnImage("the tag is malformed");
    text = text.substr(0, colon);
  }
  if (name.tag.empty() && !name.digest) name.tag = "latest";
  name.repository = text;
  if (name.registry == kDockerHub && text.find('/') == std::string_view::npos) {
    name.repository.insert(0, "library/");
  }
  if (!IsRepository(name.repository)) return NotAnImage("the repository is malformed");
  return name;
}

std::string ImageName::reference() const {
  return digest ? digest->str() : tag;
}

std::string ImageName::str() const {
  return fmt::format("{}/{}{}{}{}{}", registry, repository, tag.empty() ? "" : ":", tag,
                     digest ? "@" : "", digest ? digest->str() : "");
}

}  // namespace eagle::registry
