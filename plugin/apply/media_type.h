#pragma once

#include <string_view>

#include "lib/base/status.h"
#include "plugin/apply/decompressor.h"

namespace eagle::apply {

/// How a layer of this media type is compressed, by containerd's rules: OCI layers only when a
/// suffix says so ("+gzip", "+zstd"), Docker's always perhaps, wrapped ones never. UNIMPLEMENTED
/// for what is no layer and for encrypted ones, so that containerd asks its next applier.
absl::StatusOr<Compression> CompressionOf(std::string_view media_type);

/// The media type of an uncompressed layer.
inline constexpr std::string_view kUncompressedLayer = "application/vnd.oci.image.layer.v1.tar";

}  // namespace eagle::apply
