#include "lib/registry/challenge.h"

#include <algorithm>

#include "lib/registry/blob_url.h"

namespace eagle::registry {
namespace {

constexpr std::size_t kMaxItems = 16;
constexpr std::string_view kTokenSymbols = "!#$%&'*+-.^_`|~";
constexpr std::string_view kToken68Symbols = "-._~+/";

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsTokenChar(char c) {
  return IsAlphanumeric(c) || kTokenSymbols.find(c) != std::string_view::npos;
}

bool IsToken68Char(char c) {
  return IsAlphanumeric(c) || kToken68Symbols.find(c) != std::string_view::npos;
}

bool IsBareValueChar(char c) {
  return c > 0x20 && c < 0x7f && c != '"' && c != ',';
}

bool IsQuotedChar(char c) {
  return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

// Reads from the front of a header's value.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[nodiscard]] bool AtEnd() const { return text_.empty(); }
  [[nodiscard]] bool At(char c) const { return !text_.empty() && text_.front() == c; }

  // Whether there was any.
  bool SkipSpace() {
    return !Take([](char c) { return c == ' ' || c == '\t'; }).empty();
  }
  // Lists may hold empty elements (RFC 9110, 5.6.1).
  void SkipCommas() {
    Take([](char c) { return c == ' ' || c == '\t' || c == ','; });
  }
  std::string_view Token() { return Take(IsTokenChar); }

  // The whole rest of a challenge when it is a token68, else "".
  std::string_view Token68() {
    const Scanner before = *this;
    const std::size_t size =
        Take(IsToken68Char).size() + Take([](char c) { return c == '='; }).size();
    const std::string_view token = before.text_.substr(0, size);
    SkipSpace();
    if (!token.empty() && token.front() != '=' && (AtEnd() || At(','))) return token;
    *this = before;
    return "";
  }

  // Whether "=" with optional space around it follows; it is taken then.
  bool Equals() {
    const Scanner before = *this;
    SkipSpace();
    if (!At('=')) {
      *this = before;
      return false;
    }
    text_.remove_prefix(1);
    SkipSpace();
    return true;
  }

  std::optional<std::string> Value() {
    if (At('"')) return QuotedString();
    const std::string_view bare = Take(IsBareValueChar);
    if (bare.empty()) return std::nullopt;
    return std::string(bare);
  }

 private:
  template <typename Accept>
  std::string_view Take(const Accept& accept) {
    std::size_t size = 0;
    while (size < text_.size() && accept(text_[size])) ++size;
    const std::string_view taken = text_.substr(0, size);
    text_.remove_prefix(size);
    return taken;
  }

  std::optional<std::string> QuotedString() {
    std::string value;
    for (std::size_t i = 1; i < text_.size(); ++i) {
      if (text_[i] == '"') {
        text_.remove_prefix(i + 1);
        return value;
      }
      if (text_[i] == '\\' && ++i == text_.size()) return std::nullopt;
      if (!IsQuotedChar(text_[i])) return std::nullopt;
      value += text_[i];
    }
    return std::nullopt;
  }

  std::string_view text_;
};

absl::Status Malformed() {
  return absl::InvalidArgumentError("malformed WWW-Authenticate header");
}

// Parameters up to the next challenge or the end.
absl::Status ReadParameters(Scanner& scanner, Challenge* challenge) {
  while (true) {
    const Scanner before = scanner;
    scanner.SkipCommas();
    const std::string name = ToLower(scanner.Token());
    if (name.empty() || !scanner.Equals()) {
      scanner = before;
      return absl::OkStatus();
    }
    auto value = scanner.Value();
    scanner.SkipSpace();
    const bool ends = scanner.AtEnd() || scanner.At(',');
    if (!value || !ends || challenge->Parameter(name)) return Malformed();
    if (challenge->parameters.size() == kMaxItems) return Malformed();
    challenge->parameters.emplace_back(name, *std::move(value));
  }
}

}  // namespace

std::optional<std::string> Challenge::Parameter(std::string_view name) const {
  const auto it = std::find_if(parameters.begin(), parameters.end(),
                               [&](const auto& entry) { return entry.first == name; });
  if (it == parameters.end()) return std::nullopt;
  return it->second;
}

absl::StatusOr<std::vector<Challenge>> ParseChallenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Scanner scanner(header);
  scanner.SkipCommas();
  while (!scanner.AtEnd()) {
    Challenge challenge;
    challenge.scheme = ToLower(scanner.Token());
    if (challenge.scheme.empty() || challenges.size() == kMaxItems) return Malformed();
    const bool space = scanner.SkipSpace();
    if (!scanner.AtEnd() && !scanner.At(',')) {
      if (!space) return Malformed();
      challenge.token68 = scanner.Token68();
      if (challenge.token68.empty()) {
        EAGLE_RETURN_IF_ERROR(ReadParameters(scanner, &challenge));
        if (challenge.parameters.empty()) return Malformed();
      }
    }
    challenges.push_back(std::move(challenge));
    if (!scanner.AtEnd() && !scanner.At(',')) return Malformed();
    scanner.SkipCommas();
  }
  return challenges;
}

}  // namespace eagle::registry
