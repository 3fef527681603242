// The steps of one transfer, in the order in which they are taken.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "lib/swarm/torrent.h"
#include "sidecar/layer_transfer.h"

namespace eagle::sidecar {
namespace {

constexpr std::int64_t kReadBytes = 1 << 20;

std::string NameOf(const std::vector<Source>& sources) {
  if (sources.empty()) return "";
  return fmt::format("{}/{}", sources.front().registry, sources.front().repository);
}

}  // namespace

void LayerTransfers::Enter(const TransferPtr& transfer, int stage) {
  transfer->stage = stage;
  ++transfer->step;
  transfer->moved_at = parts_.clock.Now();
  transfer->progress.stage = stage >= Transfer::kSwarm ? TransferProgress::Stage::kSwarm
                                                       : TransferProgress::Stage::kOrigin;
}

void LayerTransfers::Look(const TransferPtr& transfer) {
  Enter(transfer, Transfer::kLooking);
  OnDisk(
      transfer, [this, layer = transfer->layer] { return BlockingLook(layer); },
      [this, transfer](Lookup lookup) { OnLooked(transfer, std::move(lookup)); });
}

LayerTransfers::Lookup LayerTransfers::BlockingLook(const WantedLayer& layer) {
  auto record = parts_.cache.Find(layer.digest);
  if (!record) return {};
  const bool missing = ::access(parts_.cache.PathOf(layer.digest).c_str(), F_OK) != 0;
  if ((record->complete && missing) ||
      (!record->complete && record->size_bytes != layer.size_bytes)) {
    // The file was taken away, or somebody has asked before with another size.
    parts_.swarm.Remove(layer.digest);
    if (const absl::Status removed = parts_.cache.Remove(layer.digest); !removed.ok()) {
      observe::Warn("record_not_removed", "digest", layer.digest.str(), "error",
                    base::Message(removed));
    }
    return {};
  }
  if (record->complete) {
    parts_.cache.Touch(layer.digest);
    if (!record->metainfo.empty() && !parts_.swarm.Has(layer.digest)) {
      (void)parts_.swarm.Seed(record->metainfo);
    }
  }
  return {record->complete, record->size_bytes, std::move(record->metainfo)};
}

void LayerTransfers::OnLooked(const TransferPtr& transfer, Lookup lookup) {
  if (lookup.complete && lookup.size_bytes != transfer->layer.size_bytes) {
    Fail(transfer,
         {FailureReason::kMismatch, fmt::format("the layer has {} bytes, the manifest says {}",
                                                lookup.size_bytes, transfer->layer.size_bytes)});
    return;
  }
  if (lookup.complete) {
    for (const auto& [id, waiter] : std::exchange(transfer->waiters, {})) {
      waiting_.erase(id);
      parts_.metrics.FetchedFromCache();
      waiter.listener->OnDone(0, 0);
    }
    Erase(transfer);
    return;
  }
  transfer->known_metainfo = std::move(lookup.metainfo);
  AskSeeders(transfer);
}

void LayerTransfers::AskSeeders(const TransferPtr& transfer) {
  Enter(transfer, Transfer::kAsking);
  // The finder is the transfer's, so the transfer outlives it.
  const std::weak_ptr<Transfer> weak = transfer;
  transfer->finder = std::make_shared<MetainfoFinder>(
      transfer->layer, parts_.client, seeders_, parts_.clock, parts_.metrics, parts_.strand,
      MetainfoFinder::Listener{.progress =
                                   [this, weak](std::int64_t bytes_at_origin) {
                                     const TransferPtr alive = weak.lock();
                                     if (alive == nullptr) return;
                                     if (bytes_at_origin != alive->progress.bytes_at_origin) {
                                       alive->moved_at = parts_.clock.Now();
                                     }
                                     alive->progress.bytes_at_origin = bytes_at_origin;
                                   },
                               .found =
                                   [this, weak](MetainfoFinder::Found found) {
                                     const TransferPtr alive = weak.lock();
                                     if (alive == nullptr) return;
                                     MakeRoom(alive, std::move(found.metainfo),
                                              std::move(found.peers));
                                   },
                               .failed =
                                   [this, weak](Failure failure) {
                                     if (const TransferPtr alive = weak.lock()) {
                                       OnSeedersFailed(alive, std::move(failure));
                                     }
                                   }});
  // A copy, as it may end at once and be dropped by the transfer.
  const auto finder = transfer->finder;
  finder->Start();
}

void LayerTransfers::OnSeedersFailed(const TransferPtr& transfer, Failure failure) {
  transfer->finder.reset();
  if (failure.reason == FailureReason::kNoSeeder && !transfer->known_metainfo.empty()) {
    observe::Info("swarm_without_seeder", "digest", transfer->layer.digest.str());
    MakeRoom(transfer, transfer->known_metainfo, {});
    return;
  }
  Fail(transfer, failure);
}

void LayerTransfers::MakeRoom(const TransferPtr& transfer, std::string metainfo,
                              std::vector<std::string> peers) {
  transfer->finder.reset();
  Enter(transfer, Transfer::kMakingRoom);
  OnDisk(
      transfer,
      [this, layer = transfer->layer, metainfo] { return BlockingMakeRoom(layer, metainfo); },
      [this, transfer, metainfo, peers = std::move(peers)](absl::StatusOr<Room> room) {
        JoinSwarm(transfer, metainfo, peers, std::move(room));
      });
}

absl::StatusOr<LayerTransfers::Room> LayerTransfers::BlockingMakeRoom(const WantedLayer& layer,
                                                                      const std::string& metainfo) {
  Room room;
  EAGLE_ASSIGN_OR_RETURN(room.pin, parts_.cache.Reserve(layer.digest, layer.size_bytes));
  EAGLE_RETURN_IF_ERROR(parts_.cache.SetMetainfo(layer.digest, metainfo));
  EAGLE_RETURN_IF_ERROR(parts_.cache.SetSource(layer.digest, NameOf(layer.sources)));
  if (auto record = parts_.cache.Find(layer.digest)) {
    room.resume_data = std::move(record->resume_data);
  }
  // One that lost its record while it was in the swarm.
  if (parts_.swarm.Has(layer.digest)) parts_.swarm.Remove(layer.digest);
  return room;
}

void LayerTransfers::JoinSwarm(const TransferPtr& transfer, const std::string& metainfo,
                               const std::vector<std::string>& peers, absl::StatusOr<Room> room) {
  if (!room.ok()) {
    Fail(transfer, {absl::IsResourceExhausted(room.status()) ? FailureReason::kNoSpace
                                                             : FailureReason::kInternal,
                    std::string(base::Message(room.status()))});
    return;
  }
  Enter(transfer, Transfer::kSwarm);
  transfer->pin = std::move(room->pin);
  const absl::Status started = parts_.swarm.Download(metainfo, room->resume_data, peers, this);
  if (!started.ok()) {
    Fail(transfer, {FailureReason::kInternal, std::string(base::Message(started))});
  }
}

void LayerTransfers::Arrived(const TransferPtr& transfer, const swarm::Progress& progress) {
  TransferProgress& known = transfer->progress;
  const bool moved = progress.bytes_done > known.bytes_done ||
                     progress.bytes_from_peers + progress.bytes_from_seeders >
                         known.bytes_from_peers + known.bytes_from_seeders;
  if (moved) transfer->moved_at = parts_.clock.Now();
  known.bytes_done = progress.bytes_done;
  known.bytes_contiguous = progress.bytes_contiguous;
  known.bytes_from_peers = progress.bytes_from_peers;
  known.bytes_from_seeders = progress.bytes_from_seeders;
  transfer->peers = progress.peers;
}

void LayerTransfers::Finish(const TransferPtr& transfer) {
  Enter(transfer, Transfer::kCompleting);
  OnDisk(
      transfer,
      [this, digest = transfer->layer.digest] {
        const absl::Status marked = parts_.cache.MarkComplete(digest);
        if (marked.ok()) parts_.cache.Touch(digest);
        return marked;
      },
      [this, transfer](const absl::Status& marked) {
        if (!marked.ok()) {
          Fail(transfer, {FailureReason::kInternal, std::string(base::Message(marked))});
          return;
        }
        // Before anybody hears of it, so that the metrics have what the answer says.
        parts_.metrics.SwarmMoved(parts_.swarm.Totals());
        const TransferProgress& progress = transfer->progress;
        observe::Info("layer_fetched", "digest", transfer->layer.digest.str(), "bytes",
                      transfer->layer.size_bytes, "from_peers", progress.bytes_from_peers,
                      "from_seeders", progress.bytes_from_seeders);
        for (const auto& [id, waiter] : std::exchange(transfer->waiters, {})) {
          waiting_.erase(id);
          parts_.metrics.FetchedFromSwarm();
          waiter.listener->OnDone(progress.bytes_from_peers, progress.bytes_from_seeders);
        }
        Erase(transfer);
      });
}

void LayerTransfers::FailWaiters(const TransferPtr& transfer, const Failure& failure) {
  for (const auto& [id, waiter] : std::exchange(transfer->waiters, {})) {
    waiting_.erase(id);
    parts_.metrics.FetchFailed(failure.reason);
    waiter.listener->OnFailed(failure);
  }
}

void LayerTransfers::Fail(const TransferPtr& transfer, const Failure& failure) {
  observe::Info("layer_not_fetched", "digest", transfer->layer.digest.str(), "reason",
                sidecar::NameOf(failure.reason), "error", failure.message);
  FailWaiters(transfer, failure);
  End(transfer);
}

void LayerTransfers::End(const TransferPtr& transfer) {
  transfer->prefetched = false;
  if (transfer->stage < Transfer::kSwarm) {
    Stop(transfer, nullptr);
    return;
  }
  Stop(transfer, [this, digest = transfer->layer.digest] { parts_.swarm.Remove(digest); });
}

void LayerTransfers::Stop(const TransferPtr& transfer, std::function<void()> blocking_end) {
  transfer->finder.reset();
  if (shutting_down_) return;
  if (blocking_end == nullptr) {
    Erase(transfer);
    return;
  }
  Enter(transfer, Transfer::kStopping);
  ++transfer->ending;
  parts_.disk([this, transfer, blocking_end = std::move(blocking_end)] {
    blocking_end();
    parts_.strand([this, transfer] {
      if (--transfer->ending > 0) return;
      transfer->pin = {};
      if (transfer->waiters.empty() && !transfer->prefetched) {
        Erase(transfer);
        return;
      }
      transfer->progress = {};
      Look(transfer);
    });
  });
}

void LayerTransfers::Erase(const TransferPtr& transfer) {
  ++transfer->step;
  transfer->finder.reset();
  transfer->pin = {};
  const auto found = transfers_.find(transfer->layer.digest);
  if (found != transfers_.end() && found->second == transfer) transfers_.erase(found);
  StartQueued();
}

void LayerTransfers::DropBroken(const base::Digest& digest) {
  if (shutting_down_) return;
  observe::Warn("cached_layer_lost", "digest", digest.str(), "reason", "its file can not be read");
  parts_.disk([this, digest] { (void)parts_.cache.Remove(digest); });
}

void LayerTransfers::SeedCached() {
  std::size_t seeded = 0;
  for (const blob::BlobRecord& record : parts_.cache.List()) {
    if (!record.complete) continue;
    if (record.metainfo.empty()) {
      parts_.disk([this, digest = record.digest, size_bytes = record.size_bytes] {
        BlockingSeedAdopted(digest, size_bytes);
      });
      continue;
    }
    const absl::Status status = parts_.swarm.Seed(record.metainfo);
    if (status.ok()) {
      ++seeded;
    } else {
      observe::Warn("not_seeded", "digest", record.digest.str(), "error", base::Message(status));
    }
  }
  observe::Info("cache_seeded", "layers", seeded);
}

void LayerTransfers::BlockingSeedAdopted(const base::Digest& digest, std::int64_t size_bytes) {
  const auto pin = parts_.cache.Acquire(digest);
  if (!pin.ok()) return;
  const auto seed = [&]() -> absl::Status {
    EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                           base::OpenFile(parts_.cache.PathOf(digest), O_RDONLY | O_NOFOLLOW));
    swarm::TorrentBuilder builder(size_bytes);
    for (std::int64_t at = 0; at < size_bytes; at += kReadBytes) {
      if (final_) return absl::CancelledError("shutting down");
      EAGLE_ASSIGN_OR_RETURN(const std::string data, base::ReadAt(fd.get(), at, kReadBytes));
      builder.Update(data);
    }
    EAGLE_ASSIGN_OR_RETURN(const std::string metainfo, builder.Finish(digest));
    EAGLE_RETURN_IF_ERROR(parts_.cache.SetMetainfo(digest, metainfo));
    return parts_.swarm.Seed(metainfo);
  };
  if (const absl::Status status = seed(); !status.ok()) {
    observe::Warn("not_seeded", "digest", digest.str(), "error", base::Message(status));
  }
}

}  // namespace eagle::sidecar
