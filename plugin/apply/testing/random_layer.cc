#include "plugin/apply/testing/random_layer.h"

#include <random>
#include <string_view>
#include <vector>

#include "plugin/apply/testing/tar_builder.h"

namespace eagle::apply::testing {
namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::string Make() {
    const int entries = Below(OneIn(3) ? 60 : 15) + 1;
    for (int i = 0; i < entries; ++i) AddEntry();
    return OneIn(10) ? builder_.WithoutEnd() : builder_.Finish();
  }

 private:
  int Below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }
  bool OneIn(int n) { return Below(n) == 0; }
  template <typename T, std::size_t N>
  T Pick(const T (&values)[N]) {
    return values[Below(static_cast<int>(N))];
  }

  // Directories have names of their own, most of the time, so that few layers fail.
  std::string Plain(char type = '0') {
    static constexpr std::string_view kDirectories[] = {"a", "b", "c", "d"};
    static constexpr std::string_view kOthers[] = {"f", "g", "h", "i", "j"};
    std::string path;
    for (int depth = Below(3); depth > 0; --depth) path += std::string(Pick(kDirectories)) + '/';
    const bool directory = (type == '5' || type == '2') != OneIn(25);
    return path + std::string(directory ? Pick(kDirectories) : Pick(kOthers));
  }

  std::string Known() { return known_.empty() || OneIn(4) ? Plain() : known_[Index()]; }
  std::size_t Index() { return static_cast<std::size_t>(Below(static_cast<int>(known_.size()))); }

  std::string Odd(std::string path) {
    switch (Below(30)) {
      case 0:
        return "./" + path;
      case 1:
        return "/" + path;
      case 2:
        return "../" + path;
      case 3:
        return path + "/";
      case 4:
        return path + "/../" + Plain();
      case 5:
        return "a//" + path;
      case 6:
        return OneIn(4) ? "./" : path;
      default:
        return path;
    }
  }

  std::string LinkText() {
    switch (Below(8)) {
      case 0:
        return "/" + Plain();
      case 1:
        return "../" + Plain();
      case 2:
        return "../../../" + Plain();
      case 3:
        return ".";
      case 4:
        return Plain() + "/..";
      case 5:
        return "missing/../" + Plain();
      default:
        return Plain();
    }
  }

  std::int64_t Mode() {
    static constexpr std::int64_t kModes[] = {0644,  0755, 0600, 04755,   02755,  01777,
                                              06711, 0,    0777, 0100644, 0120777};
    return Pick(kModes);
  }

  std::int64_t Time() {
    static constexpr std::int64_t kTimes[] = {
        0, 1, 1'500'000'000, 1'600'000'001, -5, 9'300'000'000};
    return Pick(kTimes);
  }

  std::int64_t Owner() {
    static constexpr std::int64_t kOwners[] = {0, 0, 1, 1000, 65534, 70000};
    return Pick(kOwners);
  }

  void AddPax(Entry* entry) {
    if (OneIn(5)) entry->pax["mtime"] = OneIn(2) ? "1500000000.123456789" : "1400000000.5";
    if (OneIn(6)) entry->pax["atime"] = OneIn(2) ? "1700000000.25" : "1000000000";
    if (OneIn(40)) entry->pax["mtime"] = OneIn(2) ? "-0.5" : "9223372036.9";
    if (OneIn(40)) entry->pax["atime"] = "9223372036854775807";
    if (OneIn(8)) entry->pax["SCHILY.xattr.user.x"] = "value";
    if (OneIn(20)) entry->pax["SCHILY.xattr.user.empty"] = "";
    if (OneIn(20)) entry->pax["SCHILY.xattr.trusted.overlay.opaque"] = "y";
    if (entry->type == '0' && OneIn(12)) {
      // cap_net_raw+ep, version 2.
      entry->pax["SCHILY.xattr.security.capability"] =
          std::string("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    }
  }

  void AddWhiteout() {
    std::string path = OneIn(3) ? Known() : Plain();
    // Overlays take a whiteout only where nothing is yet.
    if (OneIn(2)) path += "x";
    const std::size_t slash = path.rfind('/');
    const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
    Entry entry{.name = path.substr(0, base) + ".wh." + path.substr(base), .uid = Owner()};
    if (OneIn(3)) entry.name = path.substr(0, base) + ".wh..wh..opq";
    if (OneIn(40)) entry.name = ".wh...";
    if (OneIn(30)) entry.name = path.substr(0, base) + ".wh..wh.plnk";
    builder_.Add(entry);
  }

  void AddEntry() {
    if (OneIn(7)) return AddWhiteout();
    static constexpr std::string_view kTypes = "0000005555552211346";
    Entry entry;
    entry.type = kTypes[static_cast<std::size_t>(Below(static_cast<int>(kTypes.size())))];
    entry.name = Odd(OneIn(8) ? Known() : Plain(entry.type));
    entry.mode = Mode();
    entry.uid = Owner();
    entry.gid = Owner();
    entry.mtime = Time();
    AddPax(&entry);
    if (entry.type == '0') {
      entry.data =
          std::string(static_cast<std::size_t>(Below(1500)), static_cast<char>('a' + Below(26)));
    }
    if (entry.type == '2') {
      entry.link = LinkText();
      // Most links into themselves are left out: they only end the layer.
      if (entry.link[0] == entry.name.back() && !OneIn(10)) entry.link = "../" + entry.link;
    }
    if (entry.type == '1') {
      if (files_.empty()) return;
      entry.link = Odd(files_[static_cast<std::size_t>(Below(static_cast<int>(files_.size())))]);
    }
    if (entry.type == '3' || entry.type == '4') {
      entry.major = Below(3);
      entry.minor = Below(300);
    }
    if (OneIn(60)) entry.type = 'g', entry.data = TarBuilder::PaxRecord("comment", "none");
    builder_.Add(entry);
    known_.push_back(entry.name);
    if (entry.type != '5' && entry.type != 'g') files_.push_back(entry.name);
  }

  std::mt19937_64 random_;
  TarBuilder builder_;
  std::vector<std::string> known_;
  std::vector<std::string> files_;
};

}  // namespace

std::string RandomLayer(std::uint64_t seed) {
  return Generator(seed).Make();
}

}  // namespace eagle::apply::testing
