#pragma once

#include <string>
#include <string_view>

namespace eagle::apply {

/// The shortest path that means the same without asking the file system, as Go's path.Clean: no
/// empty, "." or inner ".." elements, no trailing slash, "." for nothing.
std::string CleanPath(std::string_view path);

/// CleanPath of "/<name>": what an entry's name means in the root. "/" is the root.
std::string RootedPath(std::string_view name);

/// CleanPath of "<left>/<right>"; an empty part is left out.
std::string JoinPath(std::string_view left, std::string_view right);

/// "/a/b" is "/a" and "b"; "/b" is "/" and "b". The path must be rooted and clean.
struct SplitResult {
  std::string_view parent;
  std::string_view base;
};
SplitResult SplitPath(std::string_view rooted);

/// A name of an archive for an error message: shortened, with what cannot be printed escaped.
std::string Printable(std::string_view name);

}  // namespace eagle::apply
