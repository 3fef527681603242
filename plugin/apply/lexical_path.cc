#include "plugin/apply/lexical_path.h"

#include <fmt/format.h>

namespace eagle::apply {
namespace {

// True for a path that CleanPath would not change but for a slash at its end. Most are.
bool IsClean(std::string_view path) {
  std::size_t start = path.starts_with('/') ? 1 : 0;
  while (start < path.size()) {
    std::size_t end = path.find('/', start);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view element = path.substr(start, end - start);
    if (element.empty() || element == "." || element == "..") return false;
    start = end + 1;
  }
  return !path.empty();
}

}  // namespace

std::string CleanPath(std::string_view path) {
  if (IsClean(path)) {
    if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return std::string(path);
  }
  const bool rooted = path.starts_with('/');
  std::string out = rooted ? "/" : "";
  // ".." may remove what is behind this point, but not before it.
  std::size_t floor = out.size();
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view element = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (element.empty() || element == ".") continue;
    if (element == "..") {
      if (out.size() > floor) {
        const std::size_t last = out.rfind('/');
        out.resize(last == std::string::npos || last < floor ? floor : last);
        continue;
      }
      if (rooted) continue;
    }
    if (!out.empty() && !out.ends_with('/')) out += '/';
    out += element;
    if (element == "..") floor = out.size();
  }
  return out.empty() ? "." : out;
}

std::string RootedPath(std::string_view name) {
  if (name.starts_with('/')) return CleanPath(name);
  std::string rooted;
  rooted.reserve(name.size() + 1);
  rooted += '/';
  rooted += name;
  return IsClean(name) && !name.ends_with('/') ? rooted : CleanPath(rooted);
}

std::string JoinPath(std::string_view left, std::string_view right) {
  if (left.empty() && right.empty()) return "";
  if (left.empty()) return CleanPath(right);
  if (right.empty()) return CleanPath(left);
  return CleanPath(fmt::format("{}/{}", left, right));
}

SplitResult SplitPath(std::string_view rooted) {
  const std::size_t slash = rooted.rfind('/');
  return {slash == 0 ? rooted.substr(0, 1) : rooted.substr(0, slash), rooted.substr(slash + 1)};
}

std::string Printable(std::string_view name) {
  constexpr std::size_t kMostBytes = 256;
  std::string out;
  for (const char c : name.substr(0, kMostBytes)) {
    if (c >= ' ' && c < 127) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned int>(static_cast<unsigned char>(c)));
    }
  }
  if (name.size() > kMostBytes) out += "...";
  return out;
}

}  // namespace eagle::apply
