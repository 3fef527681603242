#include "lib/swarm/torrent.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <libtorrent/bdecode.hpp>
#include <utility>

#include "lib/swarm/canonical_info.h"

namespace eagle::swarm {
namespace {

constexpr std::int64_t kSmallestPiece = std::int64_t{64} << 10;
constexpr std::int64_t kLargestPieceUpToMaxPieces = std::int64_t{4} << 20;
constexpr std::int64_t kPiecesWanted = 1024;
constexpr std::int64_t kPiecesBound = 16'384;
constexpr std::size_t kSha1Bytes = 20;
// A torrent of the most pieces is about 330 KB; there is room for keys that are not ours.
constexpr std::size_t kMaxMetainfoBytes = 1 << 20;
constexpr int kMaxDepth = 16;
constexpr int kMaxTokens = 10'000;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Sha1Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

void AppendSha1(EVP_MD_CTX* context, std::string* out) {
  std::array<unsigned char, kSha1Bytes> hash{};
  EVP_DigestFinal_ex(context, hash.data(), nullptr);
  out->append(reinterpret_cast<const char*>(hash.data()), hash.size());
}

std::string Sha1Of(std::string_view data) {
  const Sha1Context context(EVP_MD_CTX_new());
  EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr);
  EVP_DigestUpdate(context.get(), data.data(), data.size());
  std::string hash;
  AppendSha1(context.get(), &hash);
  return hash;
}

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("torrent: {}", what));
}

std::string_view View(libtorrent::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

std::int64_t PieceLengthFor(std::int64_t size_bytes) {
  std::int64_t length = kSmallestPiece;
  while (length < kLargestPieceUpToMaxPieces && size_bytes > length * kPiecesWanted) length *= 2;
  while ((size_bytes + length - 1) / length >= kPiecesBound) length *= 2;
  return length;
}

std::string CanonicalInfo(const base::Digest& digest, std::int64_t size_bytes,
                          std::string_view pieces) {
  return fmt::format("d6:lengthi{}e4:name64:{}12:piece lengthi{}e6:pieces{}:{}7:privatei1ee",
                     size_bytes, digest.hex(), PieceLengthFor(size_bytes), pieces.size(), pieces);
}

struct TorrentBuilder::Impl {
  std::int64_t size_bytes = 0;
  std::int64_t piece_length = 0;
  std::int64_t given = 0;
  Sha1Context sha1;
  std::string pieces;

  void EndPiece() {
    AppendSha1(sha1.get(), &pieces);
    EVP_DigestInit_ex(sha1.get(), EVP_sha1(), nullptr);
  }
};

TorrentBuilder::TorrentBuilder(std::int64_t size_bytes) : impl_(std::make_unique<Impl>()) {
  impl_->size_bytes = size_bytes;
  impl_->piece_length = PieceLengthFor(size_bytes);
  impl_->sha1.reset(EVP_MD_CTX_new());
  EVP_DigestInit_ex(impl_->sha1.get(), EVP_sha1(), nullptr);
}

TorrentBuilder::TorrentBuilder(TorrentBuilder&&) noexcept = default;
TorrentBuilder::~TorrentBuilder() = default;

void TorrentBuilder::Update(std::string_view data) {
  while (!data.empty()) {
    const std::int64_t left = impl_->piece_length - impl_->given % impl_->piece_length;
    const std::string_view part = data.substr(0, static_cast<std::size_t>(left));
    // Beyond the stated size nothing is hashed: a lying origin must not cost memory.
    if (impl_->given < impl_->size_bytes) {
      EVP_DigestUpdate(impl_->sha1.get(), part.data(), part.size());
    }
    impl_->given += static_cast<std::int64_t>(part.size());
    if (impl_->given % impl_->piece_length == 0 && impl_->given <= impl_->size_bytes) {
      impl_->EndPiece();
    }
    data.remove_prefix(part.size());
  }
}

absl::StatusOr<std::string> TorrentBuilder::Finish(const base::Digest& digest) {
  Impl& impl = *impl_;
  if (impl.size_bytes <= 0) return Bad("an empty layer has no pieces; fetch it without P2P");
  if (impl.size_bytes > kMaxLayerBytes) return Bad("the layer is larger than 1 TiB");
  if (impl.given != impl.size_bytes) {
    return absl::FailedPreconditionError(
        fmt::format("torrent: got {} bytes of a layer of {}", impl.given, impl.size_bytes));
  }
  if (impl.given % impl.piece_length != 0) impl.EndPiece();
  return fmt::format("d4:info{}e", CanonicalInfo(digest, impl.size_bytes, impl.pieces));
}

absl::StatusOr<ParsedTorrent> ParseMetainfo(std::string_view metainfo) {
  namespace lt = libtorrent;
  if (metainfo.size() > kMaxMetainfoBytes) return Bad("larger than 1 MiB");
  lt::error_code error;
  int position = 0;
  const lt::bdecode_node root = lt::bdecode({metainfo.data(), static_cast<int>(metainfo.size())},
                                            error, &position, kMaxDepth, kMaxTokens);
  if (error) return Bad(fmt::format("not bencoded at byte {}: {}", position, error.message()));
  if (root.type() != lt::bdecode_node::dict_t) return Bad("not a dictionary");
  const lt::bdecode_node info = root.dict_find_dict("info");
  if (!info) return Bad("no info dictionary");

  ParsedTorrent parsed;
  auto digest = base::Digest::FromHex(View(info.dict_find_string_value("name")));
  if (!digest.ok()) return Bad("its name is not a hex digest");
  const std::int64_t size_bytes = info.dict_find_int_value("length", -1);
  if (size_bytes <= 0 || size_bytes > kMaxLayerBytes) return Bad("length out of range");
  const std::int64_t piece_length = info.dict_find_int_value("piece length", -1);
  if (piece_length != PieceLengthFor(size_bytes)) {
    return Bad(fmt::format("piece length {} where {} is due for {} bytes", piece_length,
                           PieceLengthFor(size_bytes), size_bytes));
  }
  const std::string_view pieces = View(info.dict_find_string_value("pieces"));
  const std::int64_t count = (size_bytes + piece_length - 1) / piece_length;
  if (static_cast<std::int64_t>(pieces.size()) != count * static_cast<std::int64_t>(kSha1Bytes)) {
    return Bad("wrong number of piece hashes");
  }
  parsed.info = CanonicalInfo(*digest, size_bytes, pieces);
  const lt::span<const char> given = info.data_section();
  if (std::string_view(given.data(), static_cast<std::size_t>(given.size())) != parsed.info) {
    return Bad("the info dictionary is not private, or holds more than a layer's");
  }
  parsed.summary = {*digest, size_bytes, piece_length, Sha1Of(parsed.info)};
  return parsed;
}

absl::StatusOr<TorrentSummary> ParseTorrent(std::string_view metainfo) {
  EAGLE_ASSIGN_OR_RETURN(ParsedTorrent parsed, ParseMetainfo(metainfo));
  return std::move(parsed.summary);
}

}  // namespace eagle::swarm
