#include "plugin/blob_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace eagle::plugin {
namespace {

struct Algorithm {
  std::string_view name;
  std::size_t hex_digits;
};
constexpr std::array<Algorithm, 3> kAlgorithms{{{"sha256", 64}, {"sha384", 96}, {"sha512", 128}}};

const Algorithm* FindAlgorithm(std::string_view name) {
  const auto* found = std::find_if(kAlgorithms.begin(), kAlgorithms.end(),
                                   [&](const Algorithm& a) { return a.name == name; });
  return found == kAlgorithms.end() ? nullptr : found;
}

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string Excerpt(std::string_view text) {
  constexpr std::size_t kShown = 200;
  std::string out;
  for (char c : text.substr(0, kShown)) out.push_back(c >= ' ' && c < 127 ? c : '?');
  if (text.size() > kShown) out += "...";
  return out;
}

absl::StatusOr<BlobName> BlobName::Parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const Algorithm* algorithm = FindAlgorithm(text.substr(0, colon));
    const std::string_view hex = text.substr(colon + 1);
    if (algorithm != nullptr && hex.size() == algorithm->hex_digits && IsLowerHex(hex)) {
      return BlobName(std::string(text));
    }
  }
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not a digest: it must be sha256:<64 hex digits>, or sha384 or sha512 likewise",
      Excerpt(text)));
}

BlobName::BlobName(const base::Digest& digest) : text_(digest.str()) {}

std::vector<std::string_view> BlobName::Algorithms() {
  std::vector<std::string_view> names;
  for (const Algorithm& algorithm : kAlgorithms) names.push_back(algorithm.name);
  return names;
}

std::string_view BlobName::algorithm() const {
  return std::string_view(text_).substr(0, text_.find(':'));
}

std::string_view BlobName::hex() const {
  return std::string_view(text_).substr(text_.find(':') + 1);
}

std::string BlobName::path() const {
  return fmt::format("{}/{}", algorithm(), hex());
}

}  // namespace eagle::plugin
