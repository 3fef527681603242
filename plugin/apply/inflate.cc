#include "plugin/apply/inflate.h"

#include <fmt/format.h>
#include <zlib.h>
#ifdef EAGLE_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

#include <algorithm>
#include <limits>
#include <string>

namespace eagle::apply {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(fmt::format("the gzip stream is damaged ({})", what));
}

class ZlibInflater final : public Inflater {
 public:
  ZlibInflater() {
    constexpr int kRawDeflate = -MAX_WBITS;
    if (inflateInit2(&stream_, kRawDeflate) != Z_OK) usable_ = false;
  }
  ~ZlibInflater() override { inflateEnd(&stream_); }

  void Reset() override {
    inflateReset(&stream_);
    crc_ = 0;
    size_ = 0;
    in_trailer_ = false;
    trailer_.clear();
  }

  absl::StatusOr<Step> Run(std::string_view input, char* output, std::size_t size) override {
    if (!usable_) return absl::ResourceExhaustedError("no memory for zlib");
    Step step;
    if (!in_trailer_) {
      EAGLE_ASSIGN_OR_RETURN(step, Inflate(input, output, size));
    }
    if (in_trailer_) {
      const std::string_view rest =
          input.substr(step.consumed).substr(0, kTrailer - trailer_.size());
      trailer_ += rest;
      step.consumed += rest.size();
      if (trailer_.size() == kTrailer) {
        if (Trailer(0) != crc_ || Trailer(4) != size_) return Damaged("checksum or length");
        step.done = true;
      }
    }
    return step;
  }

 private:
  static constexpr std::size_t kTrailer = 8;

  absl::StatusOr<Step> Inflate(std::string_view input, char* output, std::size_t size) {
    const std::size_t in = std::min(input.size(), kMostBytes);
    const std::size_t out = std::min(size, kMostBytes);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(in);
    stream_.next_out = reinterpret_cast<Bytef*>(output);
    stream_.avail_out = static_cast<uInt>(out);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return Damaged(stream_.msg != nullptr ? stream_.msg : "zlib");
    }
    const Step step{in - stream_.avail_in, out - stream_.avail_out, false};
    crc_ = static_cast<std::uint32_t>(
        crc32_z(crc_, reinterpret_cast<const Bytef*>(output), step.produced));
    size_ += static_cast<std::uint32_t>(step.produced);
    in_trailer_ = result == Z_STREAM_END;
    return step;
  }

  [[nodiscard]] std::uint32_t Trailer(std::size_t at) const {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i > 0; --i) {
      value = value << 8 | static_cast<std::uint8_t>(trailer_[at + i - 1]);
    }
    return value;
  }

  z_stream stream_{};
  bool usable_ = true;
  std::uint32_t crc_ = 0;
  // Modulo 2^32, as the trailer has it.
  std::uint32_t size_ = 0;
  bool in_trailer_ = false;
  std::string trailer_;
};

#ifdef EAGLE_HAVE_ISAL
class IsalInflater final : public Inflater {
 public:
  IsalInflater() {
    isal_inflate_init(state_.get());
    Reset();
  }

  void Reset() override {
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
  }

  absl::StatusOr<Step> Run(std::string_view input, char* output, std::size_t size) override {
    const std::size_t in = std::min(input.size(), kMostBytes);
    const std::size_t out = std::min(size, kMostBytes);
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(input.data()));
    state_->avail_in = static_cast<std::uint32_t>(in);
    state_->next_out = reinterpret_cast<std::uint8_t*>(output);
    state_->avail_out = static_cast<std::uint32_t>(out);
    switch (isal_inflate(state_.get())) {
      case ISAL_DECOMP_OK:
        break;
      case ISAL_INVALID_BLOCK:
        return Damaged("invalid block");
      case ISAL_INVALID_SYMBOL:
        return Damaged("invalid symbol");
      case ISAL_INVALID_LOOKBACK:
        return Damaged("invalid distance");
      case ISAL_INCORRECT_CHECKSUM:
        return Damaged("checksum or length");
      default:
        return Damaged("ISA-L");
    }
    return Step{in - state_->avail_in, out - state_->avail_out,
                state_->block_state == ISAL_BLOCK_FINISH};
  }

 private:
  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
};
#endif

}  // namespace

std::unique_ptr<Inflater> MakeIsalInflater() {
#ifdef EAGLE_HAVE_ISAL
  return std::make_unique<IsalInflater>();
#else
  return nullptr;
#endif
}

std::unique_ptr<Inflater> MakeZlibInflater() {
  return std::make_unique<ZlibInflater>();
}

std::unique_ptr<Inflater> MakeInflater() {
  std::unique_ptr<Inflater> inflater = MakeIsalInflater();
  return inflater != nullptr ? std::move(inflater) : MakeZlibInflater();
}

}  // namespace eagle::apply
