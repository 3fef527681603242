#include "lib/swarm/piece_map.h"

#include <algorithm>

namespace eagle::swarm {
namespace {

constexpr unsigned char kFirst = 0x80;

bool Bit(std::string_view bits, std::int64_t index) {
  return (static_cast<unsigned char>(bits[static_cast<std::size_t>(index / 8)]) &
          (kFirst >> (index % 8))) != 0;
}

}  // namespace

PieceMap::PieceMap(std::int64_t size_bytes, std::int64_t piece_length)
    : size_bytes_(size_bytes),
      piece_length_(piece_length),
      have_(static_cast<std::size_t>((size_bytes + piece_length - 1) / piece_length)) {}

void PieceMap::Set(std::int64_t piece) {
  if (piece < 0 || piece >= pieces() || Has(piece)) return;
  have_[static_cast<std::size_t>(piece)] = true;
  ++count_;
  bytes_ += std::min(piece_length_, size_bytes_ - piece * piece_length_);
  while (prefix_ < pieces() && Has(prefix_)) ++prefix_;
}

void PieceMap::SetAll() {
  for (std::int64_t piece = 0; piece < pieces(); ++piece) Set(piece);
}

std::int64_t PieceMap::contiguous_bytes() const {
  return std::min(prefix_ * piece_length_, size_bytes_);
}

std::string PieceMap::Bits() const {
  std::string bits(static_cast<std::size_t>((pieces() + 7) / 8), '\0');
  for (std::int64_t piece = 0; piece < pieces(); ++piece) {
    if (!Has(piece)) continue;
    char& byte = bits[static_cast<std::size_t>(piece / 8)];
    byte = static_cast<char>(static_cast<unsigned char>(byte) | (kFirst >> (piece % 8)));
  }
  return bits;
}

bool PieceMap::SetBits(std::string_view bits) {
  if (static_cast<std::int64_t>(bits.size()) != (pieces() + 7) / 8) return false;
  for (std::int64_t pad = pieces(); pad < static_cast<std::int64_t>(bits.size()) * 8; ++pad) {
    if (Bit(bits, pad)) return false;
  }
  for (std::int64_t piece = 0; piece < pieces(); ++piece) {
    if (Bit(bits, piece)) Set(piece);
  }
  return true;
}

}  // namespace eagle::swarm
