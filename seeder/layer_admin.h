#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "seeder/durable_tier.h"
#include "seeder/layer_pins.h"
#include "seeder/storage.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// What an operator may see of the layers, and do to them. Thread-safe; methods may block.
class LayerAdmin {
 public:
  /// All of these must outlive it; `tier` is nullptr where there is none.
  LayerAdmin(Storage& storage, Swarm& swarm, LayerPins& pins, DurableTier* tier)
      : storage_(storage), swarm_(swarm), pins_(pins), tier_(tier) {}

  struct Listing {
    std::vector<StoredLayer> layers;
    bool truncated = false;
  };
  /// The most recently used ones whose digest begins so, with or without "sha256:".
  [[nodiscard]] Listing List(std::string_view digest_prefix, std::size_t limit);

  enum class From { kDisk, kDiskAndBackend };
  /// NOT_FOUND unless a complete layer is on the disk (or, with kDiskAndBackend, in the back end),
  /// FAILED_PRECONDITION while it is pinned.
  absl::Status Remove(const base::Digest& digest, From from);

  [[nodiscard]] std::int64_t WaitingCopies() const;
  [[nodiscard]] bool has_backend() const { return tier_ != nullptr; }

 private:
  Storage& storage_;
  Swarm& swarm_;
  LayerPins& pins_;
  DurableTier* const tier_;
};

}  // namespace eagle::seeder
