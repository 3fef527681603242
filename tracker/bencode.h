#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace eagle::tracker {

/// Writes bencode (BEP 3). The caller gives dictionary keys in ascending order of their bytes and
/// ends what it begins; within a dictionary keys and values alternate.
class BencodeWriter {
 public:
  BencodeWriter& String(std::string_view bytes);
  BencodeWriter& Integer(std::int64_t value);
  BencodeWriter& BeginDictionary();
  BencodeWriter& BeginList();
  BencodeWriter& End();

  [[nodiscard]] std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace eagle::tracker
