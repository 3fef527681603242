#include "plugin/manifest.h"

#include <nlohmann/json.hpp>
#include <string>

namespace eagle::plugin {
namespace {

// Overlay file systems take at most some hundred lower layers.
constexpr std::size_t kMaxLayers = 1024;
// Of a value that we keep while parsing: digests and media types are shorter.
constexpr std::size_t kMaxStringBytes = 256;

// Sees the document token by token and keeps only layers[*].{digest,size,mediaType}: neither depth
// nor size of the rest costs memory.
class LayerHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  [[nodiscard]] std::optional<std::vector<ManifestLayer>> Take() {
    if (!found_ || layers_.empty()) return std::nullopt;
    return std::move(layers_);
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t value) override {
    if (InLayer() && key_ == "size") {
      if (value > static_cast<number_unsigned_t>(INT64_MAX)) return false;
      size_ = static_cast<std::int64_t>(value);
    }
    return true;
  }
  bool string(string_t& value) override {
    if (!InLayer() || value.size() > kMaxStringBytes) return true;
    if (key_ == "digest") digest_ = value;
    if (key_ == "mediaType") media_type_ = value;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1 || InLayer()) key_.assign(name, 0, kMaxStringBytes);
    return true;
  }

  bool start_object(std::size_t) override {
    ++depth_;
    if (InLayer()) {
      digest_.clear();
      media_type_.clear();
      size_ = -1;
      key_.clear();
    }
    return true;
  }
  bool end_object() override {
    const bool good = !InLayer() || AddLayer();
    --depth_;
    return good;
  }
  bool start_array(std::size_t) override {
    ++depth_;
    if (depth_ == 2 && key_ == "layers") {
      // A second "layers" key is a trick, not a manifest.
      if (found_) return false;
      found_ = in_layers_ = true;
    }
    return true;
  }
  bool end_array() override {
    if (depth_ == 2) in_layers_ = false;
    --depth_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  [[nodiscard]] bool InLayer() const { return in_layers_ && depth_ == 3; }

  bool AddLayer() {
    const auto digest = base::Digest::Parse(digest_);
    if (!digest.ok() || size_ < 0 || layers_.size() == kMaxLayers) return false;
    layers_.push_back({.digest = *digest,
                       .size_bytes = size_,
                       .foreign = media_type_.find("foreign") != std::string::npos ||
                                  media_type_.find("nondistributable") != std::string::npos});
    return true;
  }

  std::vector<ManifestLayer> layers_;
  std::size_t depth_ = 0;
  bool found_ = false;
  bool in_layers_ = false;
  std::string key_;
  std::string digest_;
  std::string media_type_;
  std::int64_t size_ = -1;
};

}  // namespace

std::optional<std::vector<ManifestLayer>> ParseManifestLayers(std::string_view json) {
  if (static_cast<std::int64_t>(json.size()) > kMaxManifestBytes) return std::nullopt;
  // Most blobs of that size are archives: do not start the parser for them.
  const std::size_t first = json.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || json[first] != '{') return std::nullopt;
  LayerHandler handler;
  if (!nlohmann::json::sax_parse(json, &handler)) return std::nullopt;
  return handler.Take();
}

}  // namespace eagle::plugin
