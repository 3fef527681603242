#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::swarm {

/// Layers beyond this have no torrent.
inline constexpr std::int64_t kMaxLayerBytes = std::int64_t{1} << 40;

/// Piece length for a layer of this size, a power of two: 64 KiB up to 64 MiB, then as large as
/// keeps 512 to 1,024 pieces, at most 4 MiB up to 4 GiB and beyond that whatever keeps the number
/// of pieces under 16,384 (README.md, "Pieces"). Every seeder must use the same table, so a change
/// is a line in the CHANGELOG.
std::int64_t PieceLengthFor(std::int64_t size_bytes);

/// Makes the torrent of a layer in the same pass that writes it (BEP 3, v1). The result is a
/// function of the layer alone: single file named by the hex digest, private (BEP 27), no date, no
/// tracker, no client name. Not thread-safe.
class TorrentBuilder {
 public:
  explicit TorrentBuilder(std::int64_t size_bytes);
  TorrentBuilder(TorrentBuilder&&) noexcept;
  ~TorrentBuilder();

  /// The layer's bytes in order.
  void Update(std::string_view data);

  /// The bencoded metainfo. FAILED_PRECONDITION when not exactly `size_bytes` have been given,
  /// INVALID_ARGUMENT for a layer that can have no torrent: an empty one (no pieces), or one beyond
  /// kMaxLayerBytes.
  absl::StatusOr<std::string> Finish(const base::Digest& digest);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a metainfo says. Parsed defensively: the bytes come from the network.
struct TorrentSummary {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  std::int64_t piece_length = 0;
  std::string info_hash;  // 20 raw bytes
};

/// INVALID_ARGUMENT unless it is a v1 private torrent of one file named by a hex digest, with the
/// piece length of the table and nothing else in its info dictionary: its info-hash is then the one
/// that every seeder makes for these piece hashes. Keys beside "info" are ignored (BEP 3 lets
/// anybody add some, trackers among them), and never get further than here.
absl::StatusOr<TorrentSummary> ParseTorrent(std::string_view metainfo);

}  // namespace eagle::swarm
