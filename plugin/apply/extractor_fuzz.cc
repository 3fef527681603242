#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "lib/testing/temp_dir.h"
#include "plugin/apply/extractor.h"
#include "plugin/apply/testing/tar_builder.h"

namespace {

using namespace eagle::apply;
namespace fs = std::filesystem;

// What stands beside the root must never change.
bool Untouched(const std::string& path) {
  struct stat file {};
  struct stat folder {};
  if (::lstat((path + "/outside/file").c_str(), &file) != 0 ||
      ::lstat((path + "/outside").c_str(), &folder) != 0) {
    return false;
  }
  const auto count = std::distance(fs::directory_iterator(path + "/outside"), {});
  return S_ISREG(file.st_mode) && file.st_size == 4 && file.st_uid == ::geteuid() &&
         file.st_nlink == 1 && S_ISDIR(folder.st_mode) && count == 1 &&
         std::distance(fs::directory_iterator(path), {}) == 3;
}

// Reads the input as entries, so that chance need not find headers: a type, then name, link and
// data, each after its length.
std::string Archive(std::string_view input) {
  const auto take = [&input](std::size_t most) {
    const std::size_t length = input.empty() ? 0 : static_cast<std::uint8_t>(input[0]) % (most + 1);
    const std::string part(input.substr(input.empty() ? 0 : 1, length));
    input.remove_prefix(std::min(input.size(), length + 1));
    return part;
  };
  testing::TarBuilder builder;
  while (!input.empty()) {
    testing::Entry entry;
    constexpr std::string_view kTypes = "01256gx";
    entry.type = kTypes[static_cast<std::uint8_t>(input[0]) % kTypes.size()];
    entry.mode = input[0] < 0 ? 04755 : 0644;
    input.remove_prefix(1);
    entry.name = take(40);
    entry.link = take(40);
    entry.data = take(60);
    builder.Add(entry);
  }
  return builder.Finish();
}

}  // namespace

// The first byte chooses the kind of whiteouts. The tree has links that lead out as a start.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const eagle::testing::TempDir dir;
  for (const char* name : {"/root", "/lower", "/outside"}) fs::create_directory(dir.path() + name);
  std::ofstream(dir.path() + "/outside/file") << "file";
  fs::create_directory_symlink("../outside", dir.path() + "/root/r");
  fs::create_directory_symlink(dir.path() + "/outside", dir.path() + "/root/a");
  {
    const auto root = RootDir::Open(dir.path() + "/root");
    if (!root.ok()) std::abort();
    const Cancellation cancellation;
    ExtractOptions options;
    options.whiteouts = data[0] % 2 == 0 ? WhiteoutFormat::kOverlay : WhiteoutFormat::kRemove;
    options.lower_dirs = {dir.path() + "/lower"};
    Extractor extractor(*root, std::move(options), cancellation);
    const std::string archive = Archive({reinterpret_cast<const char*>(data) + 1, size - 1});
    MemorySource source(archive);
    TarReader reader(source);
    (void)extractor.Extract(reader);
  }
  if (!Untouched(dir.path())) __builtin_trap();
  return 0;
}
