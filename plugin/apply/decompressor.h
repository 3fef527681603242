#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "lib/base/status.h"
#include "plugin/apply/byte_source.h"
#include "plugin/apply/inflate.h"

namespace eagle::apply {

/// What the media type says about a layer's compression.
enum class Compression {
  /// The bytes are the archive, whatever they look like.
  kNone,
  /// Its first bytes tell: gzip, zstd or none.
  kDetect,
};

enum class Format { kPlain, kGzip, kZstd };

/// By the first bytes, 10 of which decide: gzip's magic with deflate, a zstd frame, a skippable
/// frame of at least 8 bytes; anything else is plain (containerd's rule).
Format DetectFormat(std::string_view start);

/// A stream of uncompressed bytes. Not thread-safe.
class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// Fills `output` and answers how much it holds; less than `size` only at the end of the stream.
  /// DATA_LOSS when the stream is damaged, goes on after its end with something else, or is
  /// truncated.
  virtual absl::StatusOr<std::size_t> Read(char* output, std::size_t size) = 0;
};

/// Reads the first bytes of `source`, which must outlive the result, and chooses.
absl::StatusOr<std::unique_ptr<Decompressor>> OpenDecompressor(ByteSource& source,
                                                               Compression compression);

/// All members of a gzip file, one after the other, by the given inflater.
std::unique_ptr<Decompressor> MakeGzipDecompressor(std::unique_ptr<ByteSource> source,
                                                   std::unique_ptr<Inflater> inflater);

}  // namespace eagle::apply
