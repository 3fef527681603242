#include "plugin/apply/pipeline.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <utility>

#include "plugin/apply/byte_source.h"
#include "plugin/apply/chunk_queue.h"
#include "plugin/apply/layer_target.h"
#include "plugin/apply/root_dir.h"
#include "plugin/apply/tar_reader.h"

namespace eagle::apply {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kQueuedChunks = 8;

class FileSource final : public ByteSource {
 public:
  explicit FileSource(int fd)
      : fd_(fd), buffer_(std::make_unique_for_overwrite<char[]>(kChunkBytes)) {}

  absl::StatusOr<std::string_view> Next() override {
    ssize_t size;
    do {
      size = ::pread(fd_, buffer_.get(), kChunkBytes, offset_);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return base::ErrnoError(errno, "read the blob");
    offset_ += size;
    return std::string_view(buffer_.get(), static_cast<std::size_t>(size));
  }

 private:
  int fd_;
  off_t offset_ = 0;
  std::unique_ptr<char[]> buffer_;
};

class QueueSource final : public ByteSource {
 public:
  explicit QueueSource(ChunkQueue& queue) : queue_(queue) {}

  absl::StatusOr<std::string_view> Next() override {
    // An empty view is the end, so that a chunk without bytes must not become one.
    EAGLE_ASSIGN_OR_RETURN(chunk_, queue_.Pop());
    return chunk_ == nullptr ? std::string_view() : chunk_->view();
  }

 private:
  ChunkQueue& queue_;
  ChunkPtr chunk_;
};

// The first stage: decompresses into both queues until the end, an error, or nobody listens.
class Decoding {
 public:
  Decoding(Decompressor& decompressor, const ApplyLimits& limits, std::int64_t blob_bytes,
           const Cancellation& cancellation)
      : decompressor_(decompressor),
        limits_(limits),
        blob_bytes_(blob_bytes),
        cancellation_(cancellation) {}

  void Run(ChunkQueue& hashed, ChunkQueue& extracted) {
    const absl::Status status = Decode(hashed, extracted);
    hashed.Finish(status);
    extracted.Finish(status);
  }

 private:
  absl::Status Decode(ChunkQueue& hashed, ChunkQueue& extracted) {
    ChunkPool pool(kChunkBytes);
    while (true) {
      EAGLE_RETURN_IF_ERROR(cancellation_.Check());
      const std::shared_ptr<Chunk> chunk = pool.Take();
      EAGLE_ASSIGN_OR_RETURN(chunk->size, decompressor_.Read(chunk->bytes.get(), kChunkBytes));
      if (chunk->size == 0) return absl::OkStatus();
      size_bytes_ += static_cast<std::int64_t>(chunk->size);
      EAGLE_RETURN_IF_ERROR(CheckLimits());
      if (!hashed.Push(chunk) || !extracted.Push(chunk)) return absl::OkStatus();
      if (chunk->size < kChunkBytes) return absl::OkStatus();
    }
  }

  [[nodiscard]] absl::Status CheckLimits() const {
    if (size_bytes_ > limits_.max_uncompressed_bytes) {
      return absl::ResourceExhaustedError(
          fmt::format("the layer unpacks to more than {} bytes, the limit of this node",
                      limits_.max_uncompressed_bytes));
    }
    if (size_bytes_ > limits_.ratio_free_bytes && size_bytes_ / limits_.max_ratio > blob_bytes_) {
      return absl::ResourceExhaustedError(fmt::format(
          "the layer unpacks to more than {} times its {} bytes, the limit of this node",
          limits_.max_ratio, blob_bytes_));
    }
    return absl::OkStatus();
  }

  Decompressor& decompressor_;
  const ApplyLimits& limits_;
  const std::int64_t blob_bytes_;
  const Cancellation& cancellation_;
  std::int64_t size_bytes_ = 0;
};

absl::Status Hash(ChunkQueue& queue, ApplyResult* result) {
  base::Sha256 sha256;
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(const ChunkPtr chunk, queue.Pop());
    if (chunk == nullptr) break;
    sha256.Update(chunk->view());
    result->size_bytes += static_cast<std::int64_t>(chunk->size);
  }
  result->digest = sha256.Current();
  return absl::OkStatus();
}

absl::Status ExtractAll(ChunkQueue& queue, Extractor& extractor) {
  QueueSource source(queue);
  TarReader tar(source);
  EAGLE_RETURN_IF_ERROR(extractor.Extract(tar));
  // What follows the archive is part of the layer's digest, and may yet turn out to be damaged.
  while (true) {
    EAGLE_ASSIGN_OR_RETURN(const ChunkPtr chunk, queue.Pop());
    if (chunk == nullptr) return absl::OkStatus();
  }
}

absl::StatusOr<ApplyResult> RunStages(Decompressor& decompressor, std::int64_t blob_bytes,
                                      const ApplyRequest& request, const LayerTarget& target,
                                      const Cancellation& cancellation) {
  ChunkQueue hashed(kQueuedChunks);
  ChunkQueue extracted(kQueuedChunks);
  ExtractOptions options = target.extract_options();
  options.max_entries = request.limits.max_entries;
  Extractor extractor(target.root(), std::move(options), cancellation);
  Decoding decoding(decompressor, request.limits, blob_bytes, cancellation);

  ApplyResult result;
  absl::Status hash_status;
  std::thread decoder([&] { decoding.Run(hashed, extracted); });
  std::thread hasher([&] { hash_status = Hash(hashed, &result); });
  const absl::Status status = ExtractAll(extracted, extractor);
  extracted.Abandon();
  decoder.join();
  hasher.join();
  EAGLE_RETURN_IF_ERROR(status);
  EAGLE_RETURN_IF_ERROR(hash_status);
  result.report = extractor.report();
  return result;
}

}  // namespace

absl::StatusOr<ApplyResult> ApplyLayer(int blob, const ApplyRequest& request,
                                       const std::string& mount_point,
                                       const Cancellation& cancellation) {
  EAGLE_RETURN_IF_ERROR(RootDir::CheckKernel());
  EAGLE_ASSIGN_OR_RETURN(TargetPlan plan, PlanTarget(request.mounts, InUserNamespace()));
  struct stat info {};
  if (::fstat(blob, &info) != 0) return base::ErrnoError(errno, "stat the blob");
  FileSource file(blob);
  EAGLE_ASSIGN_OR_RETURN(const std::unique_ptr<Decompressor> decompressor,
                         OpenDecompressor(file, request.compression));
  EAGLE_ASSIGN_OR_RETURN(const std::unique_ptr<LayerTarget> target,
                         LayerTarget::Open(std::move(plan), mount_point));
  auto result = RunStages(*decompressor, info.st_size, request, *target, cancellation);
  if (result.ok() && request.sync_fs) {
    if (absl::Status status = target->Sync(); !status.ok()) result = status;
  }
  if (absl::Status status = target->Close(); !status.ok() && result.ok()) result = status;
  return result;
}

}  // namespace eagle::apply
