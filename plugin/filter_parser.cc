#include "plugin/filter_parser.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <utility>

namespace eagle::plugin {
namespace {

bool IsSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

bool IsFieldCharacter(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsQuote(char c) {
  return c == '"' || c == '/' || c == '|';
}

bool IsOperatorCharacter(char c) {
  return c == '=' || c == '!' || c == '~';
}

// Everything printable, and whatever is not ASCII.
bool IsValueCharacter(char c) {
  return c != ',' && (static_cast<unsigned char>(c) >= 128 || (c > ' ' && c < 127));
}

void AppendUtf8(std::uint32_t code, std::string* out) {
  const auto byte = [out](std::uint32_t value) { out->push_back(static_cast<char>(value)); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | (code >> 6));
    byte(0x80 | (code & 63));
  } else if (code < 0x10000) {
    byte(0xe0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 63));
    byte(0x80 | (code & 63));
  } else {
    byte(0xf0 | (code >> 18));
    byte(0x80 | ((code >> 12) & 63));
    byte(0x80 | ((code >> 6) & 63));
    byte(0x80 | (code & 63));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<FilterCondition>> Parse() {
    std::vector<FilterCondition> conditions;
    while (true) {
      EAGLE_ASSIGN_OR_RETURN(FilterCondition condition, Condition());
      conditions.push_back(std::move(condition));
      if (AtEnd()) return conditions;
      if (Peek() != ',') return Problem("expected \",\" or the end");
      ++at_;
    }
  }

 private:
  [[nodiscard]] bool AtEnd() const { return at_ >= text_.size(); }
  [[nodiscard]] char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  void SkipSpace() {
    while (!AtEnd() && IsSpace(Peek())) ++at_;
  }
  [[nodiscard]] absl::Status Problem(std::string_view what) const {
    return absl::InvalidArgumentError(fmt::format("filters: position {}: {}", at_ + 1, what));
  }

  absl::StatusOr<FilterCondition> Condition() {
    FilterCondition condition;
    while (true) {
      EAGLE_ASSIGN_OR_RETURN(std::string field, Field());
      condition.path.push_back(std::move(field));
      if (Peek() != '.') break;
      ++at_;
    }
    if (AtEnd() || Peek() == ',') return condition;
    EAGLE_ASSIGN_OR_RETURN(condition.op, Operator());
    EAGLE_ASSIGN_OR_RETURN(condition.value, Value(condition.op));
    return condition;
  }

  absl::StatusOr<std::string> Field() {
    SkipSpace();
    if (Peek() == '"') return Quoted();
    const std::size_t start = at_;
    while (!AtEnd() && IsFieldCharacter(Peek())) ++at_;
    if (at_ == start) return Problem("expected a field name");
    return std::string(text_.substr(start, at_ - start));
  }

  absl::StatusOr<FilterOperator> Operator() {
    SkipSpace();
    std::size_t end = at_;
    while (end < text_.size() && IsOperatorCharacter(text_[end])) ++end;
    const std::string_view op = text_.substr(at_, end - at_);
    FilterOperator result;
    if (op == "==") {
      result = FilterOperator::kEqual;
    } else if (op == "!=") {
      result = FilterOperator::kNotEqual;
    } else if (op == "~=") {
      result = FilterOperator::kMatches;
    } else {
      return Problem("expected an operator: ==, != or ~=");
    }
    at_ += 2;
    return result;
  }

  absl::StatusOr<std::string> Value(FilterOperator op) {
    SkipSpace();
    const char c = Peek();
    if (IsQuote(c)) {
      if (c == '"' || op == FilterOperator::kMatches) return Quoted();
      return Problem("a quote for regular expressions; use \"...\"");
    }
    if (c == '.' || IsOperatorCharacter(c)) return Problem("expected a value");
    const std::size_t start = at_;
    while (!AtEnd() && IsValueCharacter(Peek())) ++at_;
    if (at_ == start) return Problem("expected a value");
    return std::string(text_.substr(start, at_ - start));
  }

  // Between two of the character at hand, with Go's escapes.
  absl::StatusOr<std::string> Quoted() {
    const char quote = Peek();
    ++at_;
    std::string out;
    while (!AtEnd() && Peek() != quote && Peek() != '\n') {
      if (Peek() != '\\') {
        out.push_back(Peek());
        ++at_;
        continue;
      }
      ++at_;
      if (AtEnd()) break;
      EAGLE_RETURN_IF_ERROR(Escape(quote, &out));
    }
    if (Peek() != quote) return Problem("unterminated quote");
    ++at_;
    return out;
  }

  absl::Status Escape(char quote, std::string* out) {
    const char c = Peek();
    ++at_;
    constexpr std::string_view kNames = "abfnrtv\\";
    constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\";
    if (c == quote) {
      out->push_back(c);
      return absl::OkStatus();
    }
    if (const std::size_t i = kNames.find(c); i != std::string_view::npos) {
      out->push_back(kValues[i]);
      return absl::OkStatus();
    }
    if (c == 'x') return Coded(2, 16, out);
    if (c == 'u') return Coded(4, 16, out);
    if (c == 'U') return Coded(8, 16, out);
    if (c >= '0' && c <= '7') {
      --at_;
      return Coded(3, 8, out);
    }
    return Problem("unknown escape");
  }

  absl::Status Coded(std::size_t digits, int radix, std::string* out) {
    const std::string_view code = text_.substr(at_, digits);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), value, radix);
    if (code.size() != digits || error != std::errc() || end != code.data() + code.size() ||
        value > 0x10ffff) {
      return Problem("bad escape");
    }
    at_ += digits;
    // \x and octal name a byte, \u and \U a character.
    if (digits <= 3) {
      if (value > 255) return Problem("bad escape");
      out->push_back(static_cast<char>(value));
    } else {
      AppendUtf8(value, out);
    }
    return absl::OkStatus();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<FilterCondition>> ParseFilterExpression(std::string_view expression) {
  return Parser(expression).Parse();
}

}  // namespace eagle::plugin
