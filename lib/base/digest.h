#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::base {

/// A SHA-256 content digest (OCI image spec, "Digests"), the name of every layer. Always valid once
/// made; cheap to copy; safe as a file name in its hex() form.
class Digest {
 public:
  static constexpr std::size_t kSizeBytes = 32;
  using Bytes = std::array<std::uint8_t, kSizeBytes>;

  /// All zero bytes: a digest nothing has.
  Digest() = default;
  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

  /// Accepts exactly "sha256:" and 64 lower-case hex digits; anything else is INVALID_ARGUMENT.
  static absl::StatusOr<Digest> Parse(std::string_view text);
  /// Accepts exactly 64 lower-case hex digits.
  static absl::StatusOr<Digest> FromHex(std::string_view hex);
  /// Of these bytes.
  static Digest Of(std::string_view data);

  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  /// 64 lower-case hex digits.
  [[nodiscard]] std::string hex() const;
  /// "sha256:" and hex().
  [[nodiscard]] std::string str() const;

  friend auto operator<=>(const Digest&, const Digest&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const Digest& digest) {
    return H::combine(std::move(state), digest.bytes_);
  }

 private:
  Bytes bytes_{};
};

/// Incremental SHA-256 (OpenSSL EVP, so SHA-NI where the CPU has it). Not thread-safe.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void Update(std::string_view data);
  /// Digest of everything so far; further Update() calls go on from there.
  [[nodiscard]] Digest Current() const;

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace eagle::base
