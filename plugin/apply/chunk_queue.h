#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"

namespace eagle::apply {

/// A block of the uncompressed stream; shared, read-only once it is in a queue.
struct Chunk {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;

  [[nodiscard]] std::string_view view() const { return {bytes.get(), size}; }
};
using ChunkPtr = std::shared_ptr<const Chunk>;

/// Hands out chunks and takes their memory back when the last reader lets go. Thread-safe; chunks
/// may outlive it.
class ChunkPool {
 public:
  explicit ChunkPool(std::size_t chunk_bytes);

  [[nodiscard]] std::size_t chunk_bytes() const { return chunk_bytes_; }
  std::shared_ptr<Chunk> Take();

 private:
  struct Free;

  std::size_t chunk_bytes_;
  std::shared_ptr<Free> free_;
};

/// A bounded queue from one thread to one other.
class ChunkQueue {
 public:
  explicit ChunkQueue(std::size_t capacity) : capacity_(capacity) {}

  /// Blocks while the queue is full. False once the reader is gone.
  bool Push(ChunkPtr chunk);
  /// No more is to come; the reader gets what is in the queue, then `status`.
  void Finish(const absl::Status& status);

  /// Blocks for the next chunk; null at the end.
  absl::StatusOr<ChunkPtr> Pop();
  /// The reader wants no more.
  void Abandon();

 private:
  const std::size_t capacity_;
  absl::Mutex mutex_;
  std::deque<ChunkPtr> chunks_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::apply
