#pragma once

#include <string_view>

#include "lib/base/status.h"

namespace eagle::apply {

/// A stream of bytes that its consumer pulls. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// The next bytes, valid until the next call; empty at the end of the stream, and on every call
  /// after it. May block.
  virtual absl::StatusOr<std::string_view> Next() = 0;
};

/// Bytes that are in memory already, handed out in pieces. The memory must outlive the source.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view data, std::size_t piece = std::size_t{1} << 20)
      : data_(data), piece_(piece) {}

  absl::StatusOr<std::string_view> Next() override {
    const std::string_view next = data_.substr(0, piece_);
    data_.remove_prefix(next.size());
    return next;
  }

 private:
  std::string_view data_;
  std::size_t piece_;
};

}  // namespace eagle::apply
