#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/swarm/torrent.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto torrent = eagle::swarm::ParseTorrent({reinterpret_cast<const char*>(data), size});
  if (torrent.ok() && (torrent->size_bytes <= 0 || torrent->info_hash.size() != 20)) std::abort();
  return 0;
}
