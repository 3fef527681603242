#include <cstddef>
#include <cstdint>

#include "plugin/apply/worker_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)eagle::apply::DecodeReply(bytes);
  const auto request = eagle::apply::DecodeRequest(bytes);
  if (request.ok()) (void)eagle::apply::EncodeRequest(*request);
  return 0;
}
