#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::plugin {

/// What of a digest or ref that somebody sent goes into a message: it may be long, and anything.
std::string Excerpt(std::string_view text);

/// The digest that names a blob in the content store (OCI image spec, "Digests"): sha256, sha384 or
/// sha512, which are what containerd registers. Eagle itself only ever makes sha256 blobs. Always
/// valid once made, so its parts are safe as file names.
class BlobName {
 public:
  /// "<algorithm>:<lower-case hex digits>"; anything else is INVALID_ARGUMENT.
  static absl::StatusOr<BlobName> Parse(std::string_view text);
  explicit BlobName(const base::Digest& digest);

  /// The names that folders below blobs/ can have.
  static std::vector<std::string_view> Algorithms();

  [[nodiscard]] const std::string& str() const { return text_; }
  [[nodiscard]] std::string_view algorithm() const;
  [[nodiscard]] std::string_view hex() const;
  /// "sha256/<hex>", below the store's blobs folder.
  [[nodiscard]] std::string path() const;

  friend auto operator<=>(const BlobName&, const BlobName&) = default;

 private:
  explicit BlobName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace eagle::plugin
