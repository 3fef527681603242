#pragma once

#include <cstdint>
#include <string>

namespace eagle::apply::testing {

/// An archive made by chance, the same for the same seed: few names, so that entries meet; every
/// type, whiteouts, links that lead anywhere, odd names, modes, times and attributes. About half of
/// them unpack without an error.
std::string RandomLayer(std::uint64_t seed);

}  // namespace eagle::apply::testing
