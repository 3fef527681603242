#include "lib/registry/blob_url.h"

#include <fmt/format.h>

#include <algorithm>

namespace eagle::registry {
namespace {

constexpr std::size_t kMaxUrlBytes = 1024;
constexpr std::size_t kMaxRepositoryBytes = 255;
constexpr std::size_t kMaxHostBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

bool IsLowerAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool IsAlphanumeric(char c) {
  return IsLowerAlphanumeric(c) || (c >= 'A' && c <= 'Z');
}

bool IsLabel(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabelBytes && IsAlphanumeric(label.front()) &&
         IsAlphanumeric(label.back()) && std::all_of(label.begin(), label.end(), [](char c) {
           return IsAlphanumeric(c) || c == '-';
         });
}

// What may stand between two runs of letters and digits.
bool IsSeparator(std::string_view text) {
  return text == "." || text == "_" || text == "__" ||
         (!text.empty() && text.find_first_not_of('-') == std::string_view::npos);
}

bool IsPathComponent(std::string_view text) {
  std::size_t at = 0;
  while (true) {
    const std::size_t word = at;
    while (at < text.size() && IsLowerAlphanumeric(text[at])) ++at;
    if (at == word) return false;
    if (at == text.size()) return true;
    const std::size_t separator = at;
    while (at < text.size() && !IsLowerAlphanumeric(text[at])) ++at;
    if (!IsSeparator(text.substr(separator, at - separator))) return false;
  }
}

// Calls `accept` for each piece of `text` between `separator`s; false as soon as one is refused.
template <typename Accept>
bool EveryPiece(std::string_view text, char separator, const Accept& accept) {
  while (true) {
    const std::size_t end = text.find(separator);
    if (!accept(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

absl::Status NotABlobUrl(std::string_view why) {
  return absl::InvalidArgumentError(fmt::format(
      "url must be https://<registry>/v2/<repository>/blobs/sha256:<64 hex digits>: {}", why));
}

}  // namespace

bool IsHostName(std::string_view text) {
  return text.size() <= kMaxHostBytes && EveryPiece(text, '.', IsLabel);
}

bool IsRepository(std::string_view text) {
  return text.size() <= kMaxRepositoryBytes && EveryPiece(text, '/', IsPathComponent);
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

absl::StatusOr<BlobUrl> BlobUrl::Parse(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  constexpr std::string_view kApi = "/v2/";
  constexpr std::string_view kBlobs = "/blobs/";
  if (text.size() > kMaxUrlBytes) return NotABlobUrl("it is too long");
  if (!text.starts_with(kScheme)) return NotABlobUrl("it does not begin with https://");
  text.remove_prefix(kScheme.size());

  const std::size_t host_end = text.find('/');
  const std::string_view host = text.substr(0, host_end);
  if (!IsHostName(host)) return NotABlobUrl("the registry is no plain host name");
  text.remove_prefix(host.size());
  if (!text.starts_with(kApi)) return NotABlobUrl("no /v2/ follows the registry");
  text.remove_prefix(kApi.size());

  const std::size_t repository_end = text.rfind(kBlobs);
  if (repository_end == std::string_view::npos) return NotABlobUrl("it has no /blobs/");
  const std::string_view repository = text.substr(0, repository_end);
  if (!IsRepository(repository)) return NotABlobUrl("the repository is malformed");
  auto digest = base::Digest::Parse(text.substr(repository_end + kBlobs.size()));
  if (!digest.ok()) return NotABlobUrl(base::Message(digest.status()));
  return BlobUrl{ToLower(host), std::string(repository), *digest};
}

std::string BlobUrl::str() const {
  return fmt::format("https://{}/v2/{}/blobs/{}", registry, repository, digest.str());
}

}  // namespace eagle::registry
