#include "tracker/bencode.h"

#include <fmt/format.h>

#include <iterator>

namespace eagle::tracker {

BencodeWriter& BencodeWriter::String(std::string_view bytes) {
  fmt::format_to(std::back_inserter(out_), "{}:", bytes.size());
  out_.append(bytes);
  return *this;
}

BencodeWriter& BencodeWriter::Integer(std::int64_t value) {
  fmt::format_to(std::back_inserter(out_), "i{}e", value);
  return *this;
}

BencodeWriter& BencodeWriter::BeginDictionary() {
  out_.push_back('d');
  return *this;
}

BencodeWriter& BencodeWriter::BeginList() {
  out_.push_back('l');
  return *this;
}

BencodeWriter& BencodeWriter::End() {
  out_.push_back('e');
  return *this;
}

}  // namespace eagle::tracker
