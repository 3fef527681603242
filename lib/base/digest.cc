#include "lib/base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

namespace eagle::base {
namespace {

constexpr std::string_view kPrefix = "sha256:";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// What of a bad digest goes into an error message: it may be long and it is not ours.
std::string Excerpt(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 80)) out.push_back(c >= ' ' && c < 127 ? c : '?');
  return out;
}

}  // namespace

absl::StatusOr<Digest> Digest::Parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) {
    return absl::InvalidArgumentError(
        fmt::format("digest \"{}\" must be sha256:<64 hex digits>", Excerpt(text)));
  }
  return FromHex(text.substr(kPrefix.size()));
}

absl::StatusOr<Digest> Digest::FromHex(std::string_view hex) {
  Digest digest;
  bool good = hex.size() == 2 * kSizeBytes;
  for (std::size_t i = 0; good && i < kSizeBytes; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest.bytes_[i] = static_cast<std::uint8_t>((high << 4) | low);
  }
  if (!good) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" must be 64 lower-case hex digits", Excerpt(hex)));
  }
  return digest;
}

Digest Digest::Of(std::string_view data) {
  Sha256 hasher;
  hasher.Update(data);
  return hasher.Current();
}

std::string Digest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * kSizeBytes);
  for (std::uint8_t byte : bytes_) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

std::string Digest::str() const {
  return std::string(kPrefix) + hex();
}

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view data) {
  EVP_DigestUpdate(context_->evp, data.data(), data.size());
}

Digest Sha256::Current() const {
  Context copy;
  EVP_MD_CTX_copy_ex(copy.evp, context_->evp);
  Digest::Bytes bytes{};
  unsigned int size = Digest::kSizeBytes;
  EVP_DigestFinal_ex(copy.evp, bytes.data(), &size);
  return Digest(bytes);
}

}  // namespace eagle::base
