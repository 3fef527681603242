#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/blob/blob_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto state = eagle::blob::DecodeState(bytes);
  if (state.ok() && eagle::blob::EncodeState(*state) != bytes) std::abort();
  const auto last_used = eagle::blob::DecodeLastUsed(bytes);
  if (last_used.ok() && eagle::blob::EncodeLastUsed(*last_used) != bytes) std::abort();
  return 0;
}
