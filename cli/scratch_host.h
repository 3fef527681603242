#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "lib/testing/temp_dir.h"

namespace eagle::cli {

/// A folder that looks like the root of a host, for tests.
class ScratchHost {
 public:
  [[nodiscard]] const std::string& root() const { return dir_.path(); }
  [[nodiscard]] std::string At(const std::string& path) const { return root() + path; }

  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(At(path)).parent_path());
    std::ofstream(At(path)) << text;
  }
  /// An executable file; without a "#!" it cannot be run, only found.
  void WriteProgram(const std::string& path, const std::string& text = "") const {
    Write(path, text);
    ::chmod(At(path).c_str(), 0755);
  }
  [[nodiscard]] std::string Read(const std::string& path) const {
    std::ifstream in(At(path));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Remove(const std::string& path) const { std::filesystem::remove_all(At(path)); }

 private:
  testing::TempDir dir_;
};

}  // namespace eagle::cli
