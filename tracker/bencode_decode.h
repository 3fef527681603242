#pragma once

#include <cctype>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace eagle::tracker {

/// A decoded bencode value. For tests: one field is used, the others are empty.
struct BencodeValue {
  std::optional<std::int64_t> integer;
  std::optional<std::string> string;
  std::optional<std::vector<BencodeValue>> list;
  std::optional<std::map<std::string, BencodeValue>> dictionary;

  /// Fails the test by throwing when this is no dictionary that has `key`.
  [[nodiscard]] const BencodeValue& operator[](const std::string& key) const {
    return dictionary.value().at(key);
  }
  [[nodiscard]] bool Has(const std::string& key) const {
    return dictionary.has_value() && dictionary->contains(key);
  }
};

/// A strict reader, for checking what the tracker writes: keys must ascend, nothing may follow.
class BencodeDecoder {
 public:
  static std::optional<BencodeValue> Decode(std::string_view text) {
    BencodeDecoder decoder(text);
    BencodeValue value;
    if (!decoder.Read(&value) || !decoder.rest_.empty()) return std::nullopt;
    return value;
  }

 private:
  explicit BencodeDecoder(std::string_view text) : rest_(text) {}

  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool ReadNumber(char end, std::int64_t* out) {
    const std::size_t length = rest_.find(end);
    if (length == 0 || length > 18) return false;
    const std::string digits(rest_.substr(0, length));
    for (const char c : digits) {
      if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
    }
    if (digits.size() > 1 && digits[0] == '0') return false;
    *out = std::stoll(digits);
    rest_.remove_prefix(length + 1);
    return true;
  }

  bool ReadString(std::string* out) {
    std::int64_t size = 0;
    if (!ReadNumber(':', &size) || static_cast<std::size_t>(size) > rest_.size()) return false;
    *out = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return true;
  }

  bool ReadDictionary(std::map<std::string, BencodeValue>* out) {
    std::string last;
    while (!Take('e')) {
      std::string key;
      if (!ReadString(&key) || (!out->empty() && key <= last)) return false;
      if (!Read(&(*out)[key])) return false;
      last = key;
    }
    return true;
  }

  bool Read(BencodeValue* out) {
    if (Take('i')) return ReadNumber('e', &out->integer.emplace());
    if (Take('d')) return ReadDictionary(&out->dictionary.emplace());
    if (Take('l')) {
      out->list.emplace();
      while (!Take('e')) {
        if (!Read(&out->list->emplace_back())) return false;
      }
      return true;
    }
    return ReadString(&out->string.emplace());
  }

  std::string_view rest_;
};

}  // namespace eagle::tracker
