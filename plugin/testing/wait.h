#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace eagle::plugin::testing {

/// Whether `condition` comes true within a time that is long for any machine.
inline bool Eventually(const std::function<bool()>& condition,
                       std::chrono::seconds patience = std::chrono::seconds(20)) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace eagle::plugin::testing
