#include "plugin/apply/media_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "plugin/apply/lexical_path.h"

namespace eagle::apply {
namespace {

constexpr std::string_view kOci[] = {
    kUncompressedLayer,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
};
constexpr std::string_view kDocker[] = {
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};

std::vector<std::string_view> SplitAtPlus(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t plus = text.find('+');
    parts.push_back(text.substr(0, plus));
    if (plus == std::string_view::npos) return parts;
    text.remove_prefix(plus + 1);
  }
}

template <std::size_t N>
bool Contains(const std::string_view (&types)[N], std::string_view type) {
  return std::find(std::begin(types), std::end(types), type) != std::end(types);
}

}  // namespace

absl::StatusOr<Compression> CompressionOf(std::string_view media_type) {
  std::vector<std::string_view> parts = SplitAtPlus(media_type);
  const std::string_view type = parts.front();
  const bool docker = Contains(kDocker, type);
  const bool encrypted = std::find(parts.begin(), parts.end(), "encrypted") != parts.end();
  if (encrypted || (!docker && !Contains(kOci, type))) {
    return absl::UnimplementedError(
        fmt::format("no applier here for media type \"{}\"", Printable(media_type)));
  }
  const bool wrapped = parts.size() > 1;
  if (docker) return wrapped ? Compression::kNone : Compression::kDetect;
  if (!wrapped) return Compression::kNone;
  // The last suffix in alphabetical order, whatever the order in the type.
  const std::string_view last = *std::max_element(parts.begin() + 1, parts.end());
  return last == "gzip" || last == "zstd" ? Compression::kDetect : Compression::kNone;
}

}  // namespace eagle::apply
