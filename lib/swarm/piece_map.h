#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace eagle::swarm {

/// Which pieces of a layer are verified. Not thread-safe.
class PieceMap {
 public:
  PieceMap(std::int64_t size_bytes, std::int64_t piece_length);

  /// Repeats and indexes out of range are ignored.
  void Set(std::int64_t piece);
  void SetAll();

  [[nodiscard]] std::int64_t pieces() const { return static_cast<std::int64_t>(have_.size()); }
  [[nodiscard]] bool Has(std::int64_t piece) const {
    return have_[static_cast<std::size_t>(piece)];
  }
  [[nodiscard]] bool complete() const { return count_ == pieces(); }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  /// Length of the prefix of the layer in which every piece is verified.
  [[nodiscard]] std::int64_t contiguous_bytes() const;

  /// The bits as bytes, first piece highest, padded with zeros (as BEP 3's bitfield).
  [[nodiscard]] std::string Bits() const;
  /// False when `bits` are not of this length, or are set in the padding; nothing changes then.
  bool SetBits(std::string_view bits);

 private:
  std::int64_t size_bytes_;
  std::int64_t piece_length_;
  std::vector<bool> have_;
  std::int64_t count_ = 0;
  std::int64_t bytes_ = 0;
  std::int64_t prefix_ = 0;  // pieces
};

}  // namespace eagle::swarm
