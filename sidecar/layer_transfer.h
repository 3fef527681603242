#pragma once

// What layer_transfers.cc and layer_transfer_steps.cc share.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sidecar/layer_transfers.h"

namespace eagle::sidecar {

struct LayerTransfers::Transfer {
  enum Stage {
    kQueued,
    kLooking,     // into the cache, on a disk thread
    kAsking,      // seeders for the torrent
    kMakingRoom,  // in the cache, on a disk thread
    kSwarm,       // pieces arrive
    kCompleting,  // entering it as complete, on a disk thread
    kStopping,    // the swarm is letting go, on a disk thread
  };
  struct Waiter {
    std::shared_ptr<FetchListener> listener;
    base::Clock::TimePoint told_at;
  };

  WantedLayer layer;
  std::map<WaiterId, Waiter> waiters;
  bool prefetched = false;

  int stage = kQueued;
  /// Changes with every step, so that a late result of an earlier one is recognised.
  std::uint64_t step = 0;
  /// Disk work of Stop() that has not ended.
  int ending = 0;
  TransferProgress progress;
  int peers = 0;
  base::Clock::TimePoint moved_at;
  /// Since when nobody waits.
  std::optional<base::Clock::TimePoint> left_at;
  std::shared_ptr<MetainfoFinder> finder;
  blob::BlobCache::Pin pin;
  /// The torrent of an earlier, unfinished transfer.
  std::string known_metainfo;
};

/// What BlockingLook() found.
struct LayerTransfers::Lookup {
  bool complete = false;
  std::int64_t size_bytes = 0;
  std::string metainfo;
};

/// What BlockingMakeRoom() made.
struct LayerTransfers::Room {
  blob::BlobCache::Pin pin;
  std::string resume_data;
};

template <typename Blocking, typename Then>
void LayerTransfers::OnDisk(const TransferPtr& transfer, Blocking blocking, Then then) {
  if (shutting_down_) return;
  parts_.disk([this, transfer, step = transfer->step, blocking = std::move(blocking),
               then = std::move(then)] {
    // Shared, as the result may be one that only moves and std::function copies.
    auto result = std::make_shared<decltype(blocking())>(blocking());
    parts_.strand([transfer, step, then, result] {
      if (transfer->step == step) then(std::move(*result));
    });
  });
}

}  // namespace eagle::sidecar
