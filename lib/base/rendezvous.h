#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace eagle::base {

/// Rendezvous (highest random weight) hashing, Thaler and Ravishankar 1998: the order in which
/// `nodes` are responsible for `key`, best first. Every caller with the same set gets the same
/// order whatever order it lists them in, and removing one node moves only the keys it was first
/// for.
std::vector<std::size_t> RendezvousOrder(std::string_view key, std::span<const std::string> nodes);

}  // namespace eagle::base
