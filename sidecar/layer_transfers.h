#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/blob/blob_cache.h"
#include "lib/swarm/session.h"
#include "sidecar/layer.h"
#include "sidecar/metainfo_client.h"
#include "sidecar/metainfo_finder.h"
#include "sidecar/sidecar_metrics.h"
#include "sidecar/swarm.h"

namespace eagle::sidecar {

struct TransferProgress {
  enum class Stage { kOrigin, kSwarm };
  Stage stage = Stage::kOrigin;
  std::int64_t bytes_done = 0;
  std::int64_t bytes_contiguous = 0;
  std::int64_t bytes_from_peers = 0;
  std::int64_t bytes_from_seeders = 0;
  std::int64_t bytes_at_origin = 0;
};

/// Whoever waits for a layer: progress, then one end. Called on the strand: must not block.
class FetchListener {
 public:
  virtual ~FetchListener() = default;
  /// At least every 250 ms.
  virtual void OnProgress(const TransferProgress& progress) = 0;
  /// The file is in the cache. The bytes are what this layer cost: none when it was there.
  virtual void OnDone(std::int64_t bytes_from_peers, std::int64_t bytes_from_seeders) = 0;
  virtual void OnFailed(const Failure& failure) = 0;
};

struct TransferStatus {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  TransferProgress progress;
  int peers = 0;
};

/// The layers on their way to this node's cache: one transfer a digest, whoever asks for it.
///
///   look into the cache -> ask seeders for the torrent -> make room -> swarm -> complete
///
/// A transfer that somebody waits for starts at once; those of Prefetch() start in their order
/// while fewer than `max_transfers` run. When nobody waits any more, a transfer of Prefetch() goes
/// on, any other ends after a short grace; what has arrived stays for the next time.
///
/// Methods are thread-safe and do not block: the work is done on `strand` (one thread, in order;
/// all state is its own) and on `disk` (several threads, may block). Both must have run out before
/// this object goes, and so must the swarm that it observes.
class LayerTransfers final : public swarm::DownloadObserver {
 public:
  using WaiterId = std::uint64_t;

  struct Options {
    std::vector<std::string> seeders;
    std::chrono::milliseconds stall_timeout{5000};
    std::size_t max_transfers = 16;
  };
  struct Parts {
    blob::BlobCache& cache;
    Swarm& swarm;
    MetainfoClient& client;
    const base::Clock& clock;
    SidecarMetrics& metrics;
    Executor strand;
    Executor disk;
  };

  /// How long a transfer that nobody waits for is kept running: a retried pull comes soon.
  static constexpr std::chrono::seconds kGrace{3};
  /// How often the cache's limits are looked at when nothing happens: others fill the disk too.
  static constexpr std::chrono::seconds kTrimEvery{30};
  /// How often Tick() is due.
  static constexpr std::chrono::milliseconds kTickEvery{100};

  LayerTransfers(Options options, Parts parts);
  ~LayerTransfers() override;
  LayerTransfers(const LayerTransfers&) = delete;
  LayerTransfers& operator=(const LayerTransfers&) = delete;

  /// Puts what is complete in the cache into the swarm; for the start. Blocks, but for layers whose
  /// torrent went with a lost index: it is made again from the file, on the disk threads.
  void SeedCached();

  WaiterId Fetch(WantedLayer layer, std::shared_ptr<FetchListener> listener);
  /// The listener is not called any more once the strand has come to it.
  void Cancel(WaiterId waiter);
  void Prefetch(std::vector<WantedLayer> layers);
  /// Drops torrent, file and record; `done` is called on the strand afterwards.
  void Discard(const base::Digest& digest, std::function<void(absl::Status)> done);
  /// containerd has let go of blobs; `done` is called once the cache is within its limits.
  void Deleted(std::function<void(absl::Status)> done);
  /// `done` is called on the strand.
  void GetTransfers(std::function<void(std::vector<TransferStatus>)> done);
  void Tick();

  /// Fails everybody who waits and starts nothing any more. Waits for the strand; the swarm goes
  /// on, so that ending it can still hand out resume data, which go to the cache at once from here
  /// on.
  void ShutDown();

  // swarm::DownloadObserver
  void OnProgress(const base::Digest& digest, const swarm::Progress& progress) override;
  void OnComplete(const base::Digest& digest, const swarm::Progress& progress) override;
  void OnError(const base::Digest& digest, const absl::Status& status) override;
  void OnResumeData(const base::Digest& digest, const std::string& resume_data) override;

 private:
  struct Transfer;
  using TransferPtr = std::shared_ptr<Transfer>;
  struct Lookup;
  struct Room;

  // Steps of a transfer, in their order; all on the strand, but for those named Blocking.
  void Join(WaiterId id, WantedLayer layer, std::shared_ptr<FetchListener> listener);
  void Leave(WaiterId id);
  void Enqueue(WantedLayer layer);
  void StartQueued();
  void Look(const TransferPtr& transfer);
  [[nodiscard]] Lookup BlockingLook(const WantedLayer& layer);
  void OnLooked(const TransferPtr& transfer, Lookup lookup);
  void AskSeeders(const TransferPtr& transfer);
  void OnSeedersFailed(const TransferPtr& transfer, Failure failure);
  void MakeRoom(const TransferPtr& transfer, std::string metainfo, std::vector<std::string> peers);
  [[nodiscard]] absl::StatusOr<Room> BlockingMakeRoom(const WantedLayer& layer,
                                                      const std::string& metainfo);
  void JoinSwarm(const TransferPtr& transfer, const std::string& metainfo,
                 const std::vector<std::string>& peers, absl::StatusOr<Room> room);
  void Arrived(const TransferPtr& transfer, const swarm::Progress& progress);
  void Finish(const TransferPtr& transfer);

  void Fail(const TransferPtr& transfer, const Failure& failure);
  void FailWaiters(const TransferPtr& transfer, const Failure& failure);
  /// Gives up; the partial file stays.
  void End(const TransferPtr& transfer);
  /// Ends what the transfer is doing; it is gone afterwards, or begins anew when somebody has asked
  /// for it meanwhile. `blocking_end` is what is left to do on the disk, if anything.
  void Stop(const TransferPtr& transfer, std::function<void()> blocking_end);
  void Erase(const TransferPtr& transfer);
  void BlockingSeedAdopted(const base::Digest& digest, std::int64_t size_bytes);
  void DropBroken(const base::Digest& digest);

  void TickTransfer(const TransferPtr& transfer);
  void Trim(std::function<void(absl::Status)> done);
  [[nodiscard]] TransferPtr Find(const base::Digest& digest) const;
  [[nodiscard]] std::size_t Active() const;
  /// Runs `blocking` on a disk thread and `then` with its result on the strand, unless the transfer
  /// has gone on to another step meanwhile.
  template <typename Blocking, typename Then>
  void OnDisk(const TransferPtr& transfer, Blocking blocking, Then then);
  void Enter(const TransferPtr& transfer, int stage);

  const Options options_;
  const Parts parts_;
  std::atomic<WaiterId> next_waiter_{1};
  std::atomic<bool> final_{false};

  // Of the strand.
  Seeders seeders_;
  std::map<base::Digest, TransferPtr> transfers_;
  std::map<WaiterId, base::Digest> waiting_;
  std::deque<base::Digest> queue_;
  base::Clock::TimePoint measured_at_;
  base::Clock::TimePoint trimmed_at_;
  bool shutting_down_ = false;
};

}  // namespace eagle::sidecar
