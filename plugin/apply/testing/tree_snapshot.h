#pragma once

#include <map>
#include <string>
#include <vector>

namespace eagle::apply::testing {

/// Everything about a file that two appliers must agree on, one line: type, mode, owner, size,
/// links, device, times to the nanosecond, attributes, link text, SHA-256 of the content, and by
/// which other names the same inode is known.
using TreeSnapshot = std::map<std::string, std::string>;

/// Of a tree, by path from its root ("" is the root itself). Times of now, which nobody chose, are
/// shown as "now". Reads without changing access times (root).
TreeSnapshot SnapshotTree(const std::string& root);

/// "path: left | right" for all that differs.
std::vector<std::string> Differences(const TreeSnapshot& left, const TreeSnapshot& right);

}  // namespace eagle::apply::testing
