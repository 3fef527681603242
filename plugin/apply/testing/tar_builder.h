#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace eagle::apply::testing {

/// What a test says about an entry; numbers go into the header as they are.
struct Entry {
  char type = '0';
  std::string name;
  std::string data = "";
  std::string link = "";
  std::int64_t mode = 0644;
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::int64_t mtime = 1'600'000'000;
  std::int64_t major = 0;
  std::int64_t minor = 0;
  /// Records of a pax header before the entry.
  std::map<std::string, std::string> pax = {};
  /// The size field, when it is not that of `data`.
  std::int64_t size = -1;
};

/// Writes archives, good and bad ones. Names and links that do not fit go into pax records.
class TarBuilder {
 public:
  TarBuilder& Add(const Entry& entry);
  TarBuilder& File(std::string_view name, std::string_view data = "");
  TarBuilder& Dir(std::string_view name, std::int64_t mode = 0755);
  TarBuilder& Symlink(std::string_view name, std::string_view target);
  TarBuilder& HardLink(std::string_view name, std::string_view target);
  TarBuilder& Bytes(std::string_view bytes);

  /// With the two zero blocks of the end.
  [[nodiscard]] std::string Finish() const;
  [[nodiscard]] const std::string& WithoutEnd() const { return bytes_; }

  static std::string PaxRecord(std::string_view key, std::string_view value);
  /// A header in ustar form with a good checksum.
  static std::string Header(const Entry& entry);
  static void SetChecksum(std::string* block);

 private:
  void Padded(std::string_view data);

  std::string bytes_;
};

std::string Gzip(std::string_view data, int level = 6);
std::string Zstd(std::string_view data, int level = 3);

}  // namespace eagle::apply::testing
