#include "plugin/apply/decompressor.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "plugin/apply/gzip_header.h"

namespace eagle::apply {
namespace {

constexpr std::size_t kDetectBytes = 10;
// 512 MiB, the largest that containerd's decoder takes.
constexpr int kMaxZstdWindowLog = 29;

// Bytes that were read to find out the format, then the rest of the source.
class PeekedSource final : public ByteSource {
 public:
  PeekedSource(std::string peeked, ByteSource& rest) : peeked_(std::move(peeked)), rest_(rest) {}

  absl::StatusOr<std::string_view> Next() override {
    if (!peeked_used_ && !peeked_.empty()) {
      peeked_used_ = true;
      return std::string_view(peeked_);
    }
    return rest_.Next();
  }

 private:
  std::string peeked_;
  bool peeked_used_ = false;
  ByteSource& rest_;
};

// What the decompressors share: the input that is at hand.
class Input {
 public:
  explicit Input(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  // False at the end.
  absl::StatusOr<bool> Fill() {
    if (bytes.empty()) {
      EAGLE_ASSIGN_OR_RETURN(bytes, source_->Next());
    }
    return !bytes.empty();
  }

  std::string_view bytes;

 private:
  std::unique_ptr<ByteSource> source_;
};

class PlainReader final : public Decompressor {
 public:
  explicit PlainReader(std::unique_ptr<ByteSource> source) : input_(std::move(source)) {}

  absl::StatusOr<std::size_t> Read(char* output, std::size_t size) override {
    std::size_t have = 0;
    while (have < size) {
      EAGLE_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      if (!more) break;
      const std::size_t step = std::min(size - have, input_.bytes.size());
      std::memcpy(output + have, input_.bytes.data(), step);
      input_.bytes.remove_prefix(step);
      have += step;
    }
    return have;
  }

 private:
  Input input_;
};

class GzipReader final : public Decompressor {
 public:
  GzipReader(std::unique_ptr<ByteSource> source, std::unique_ptr<Inflater> inflater)
      : input_(std::move(source)), inflater_(std::move(inflater)) {}

  absl::StatusOr<std::size_t> Read(char* output, std::size_t size) override {
    std::size_t have = 0;
    while (have < size) {
      EAGLE_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      if (!in_member_) {
        if (!more) {
          if (!header_.idle()) return Truncated();
          break;
        }
        EAGLE_ASSIGN_OR_RETURN(in_member_, header_.Consume(&input_.bytes));
        if (in_member_) inflater_->Reset();
        continue;
      }
      EAGLE_ASSIGN_OR_RETURN(const Inflater::Step step,
                             inflater_->Run(input_.bytes, output + have, size - have));
      input_.bytes.remove_prefix(step.consumed);
      have += step.produced;
      in_member_ = !step.done;
      if (!step.done && step.consumed == 0 && step.produced == 0) {
        if (!more) return Truncated();
        return absl::DataLossError("the gzip stream is damaged (no progress)");
      }
    }
    return have;
  }

 private:
  static absl::Status Truncated() { return absl::DataLossError("the gzip stream is truncated"); }

  Input input_;
  std::unique_ptr<Inflater> inflater_;
  GzipHeaderParser header_;
  bool in_member_ = false;
};

class ZstdReader final : public Decompressor {
 public:
  explicit ZstdReader(std::unique_ptr<ByteSource> source)
      : input_(std::move(source)), context_(ZSTD_createDCtx(), &ZSTD_freeDCtx) {
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }

  absl::StatusOr<std::size_t> Read(char* output, std::size_t size) override {
    ZSTD_outBuffer out{output, size, 0};
    while (out.pos < out.size) {
      EAGLE_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      if (!more && frame_done_) break;
      ZSTD_inBuffer in{input_.bytes.data(), input_.bytes.size(), 0};
      const std::size_t had = out.pos;
      const std::size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(hint) != 0) {
        return absl::DataLossError(
            fmt::format("the zstd stream is damaged ({})", ZSTD_getErrorName(hint)));
      }
      input_.bytes.remove_prefix(in.pos);
      frame_done_ = hint == 0;
      if (!more && !frame_done_ && out.pos == had) {
        return absl::DataLossError("the zstd stream is truncated");
      }
    }
    return out.pos;
  }

 private:
  Input input_;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
  bool frame_done_ = true;
};

}  // namespace

Format DetectFormat(std::string_view start) {
  if (start.starts_with("\x1f\x8b\x08")) return Format::kGzip;
  if (start.starts_with("\x28\xb5\x2f\xfd")) return Format::kZstd;
  constexpr std::size_t kSkippableHeaderBytes = 8;
  if (start.size() >= kSkippableHeaderBytes && (start[0] & 0xf0) == 0x50 &&
      start.substr(1, 3) == "\x2a\x4d\x18") {
    return Format::kZstd;
  }
  return Format::kPlain;
}

std::unique_ptr<Decompressor> MakeGzipDecompressor(std::unique_ptr<ByteSource> source,
                                                   std::unique_ptr<Inflater> inflater) {
  return std::make_unique<GzipReader>(std::move(source), std::move(inflater));
}

absl::StatusOr<std::unique_ptr<Decompressor>> OpenDecompressor(ByteSource& source,
                                                               Compression compression) {
  std::string start;
  while (compression == Compression::kDetect && start.size() < kDetectBytes) {
    EAGLE_ASSIGN_OR_RETURN(const std::string_view part, source.Next());
    if (part.empty()) break;
    start += part;
  }
  const Format format = compression == Compression::kDetect ? DetectFormat(start) : Format::kPlain;
  auto all = std::make_unique<PeekedSource>(std::move(start), source);
  switch (format) {
    case Format::kGzip:
      return MakeGzipDecompressor(std::move(all), MakeInflater());
    case Format::kZstd:
      return std::make_unique<ZstdReader>(std::move(all));
    case Format::kPlain:
      break;
  }
  return std::make_unique<PlainReader>(std::move(all));
}

}  // namespace eagle::apply
