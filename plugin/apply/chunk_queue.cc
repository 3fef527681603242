#include "plugin/apply/chunk_queue.h"

#include <utility>

namespace eagle::apply {

struct ChunkPool::Free {
  absl::Mutex mutex;
  std::vector<std::unique_ptr<char[]>> blocks ABSL_GUARDED_BY(mutex);
};

ChunkPool::ChunkPool(std::size_t chunk_bytes)
    : chunk_bytes_(chunk_bytes), free_(std::make_shared<Free>()) {}

std::shared_ptr<Chunk> ChunkPool::Take() {
  auto chunk = std::make_unique<Chunk>();
  {
    absl::MutexLock lock(&free_->mutex);
    if (!free_->blocks.empty()) {
      chunk->bytes = std::move(free_->blocks.back());
      free_->blocks.pop_back();
    }
  }
  if (chunk->bytes == nullptr) chunk->bytes = std::make_unique_for_overwrite<char[]>(chunk_bytes_);
  return {chunk.release(), [free = free_](Chunk* used) {
            {
              absl::MutexLock lock(&free->mutex);
              free->blocks.push_back(std::move(used->bytes));
            }
            delete used;
          }};
}

bool ChunkQueue::Push(ChunkPtr chunk) {
  absl::MutexLock lock(&mutex_);
  const auto has_room = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return abandoned_ || chunks_.size() < capacity_;
  };
  mutex_.Await(absl::Condition(&has_room));
  if (abandoned_) return false;
  chunks_.push_back(std::move(chunk));
  return true;
}

void ChunkQueue::Finish(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  finished_ = true;
  status_ = status;
}

absl::StatusOr<ChunkPtr> ChunkQueue::Pop() {
  absl::MutexLock lock(&mutex_);
  const auto has_news = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return finished_ || !chunks_.empty();
  };
  mutex_.Await(absl::Condition(&has_news));
  if (chunks_.empty()) {
    if (!status_.ok()) return status_;
    return ChunkPtr();
  }
  ChunkPtr chunk = std::move(chunks_.front());
  chunks_.pop_front();
  return chunk;
}

void ChunkQueue::Abandon() {
  absl::MutexLock lock(&mutex_);
  abandoned_ = true;
  chunks_.clear();
}

}  // namespace eagle::apply
