#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/thread_pool.h"
#include "lib/base/unique_fd.h"
#include "lib/swarm/canonical_info.h"
#include "lib/swarm/piece_map.h"
#include "lib/swarm/session.h"
#include "lib/swarm/traffic.h"

namespace eagle::swarm {

/// One torrent of the session. What is under "owner" belongs to the session's thread alone, the
/// rest to Session::Impl::mutex_.
struct Torrent {
  Torrent(std::uint64_t torrent_id, const TorrentSummary& summary, std::string folder)
      : id(torrent_id),
        digest(summary.digest),
        size_bytes(summary.size_bytes),
        directory(std::move(folder)),
        pieces(summary.size_bytes, summary.piece_length) {}

  /// Never used twice, so that a late alert of a removed torrent can not be taken for another's.
  const std::uint64_t id;
  const base::Digest digest;
  const std::int64_t size_bytes;
  const std::string directory;
  /// nullptr for what is only seeded.
  DownloadObserver* observer = nullptr;
  const std::shared_ptr<Traffic> traffic = std::make_shared<Traffic>();

  libtorrent::torrent_handle handle;  // valid from the add_torrent_alert on
  bool removing = false;

  // owner
  PieceMap pieces;
  bool finishing = false;  // whole, being synced
  bool complete = false;   // OnComplete() has been called
  bool ended = false;      // libtorrent has let go of it
  std::int64_t resumed_from_peers = 0;
  std::int64_t resumed_from_seeders = 0;
  std::int64_t resume_saved_bytes = 0;
  std::chrono::steady_clock::time_point resume_saved_at;
  absl::Status failure;  // why it is being removed, when the session itself does so
  std::function<void()> announced;
  std::chrono::steady_clock::time_point announced_by;
  absl::flat_hash_set<std::string> failed_trackers;  // while `announced` is to be called
};

/// Stands in libtorrent's user data for a torrent's id: a pointer would outlive what it points to.
struct TorrentTag;

/// libtorrent's thread posts alerts and wakes the owner thread; the owner thread is the only one
/// that reads them, changes torrents and calls observers. Workers do what may wait for the disk:
/// making way for a download, and fsync.
struct Session::Impl {
  using Id = std::uint64_t;
  using TorrentPtr = std::shared_ptr<Torrent>;
  using Clock = std::chrono::steady_clock;

  explicit Impl(SessionOptions options);
  ~Impl();

  absl::Status Start();
  absl::Status Seed(const TorrentFile& file, std::function<void()> announced);
  absl::Status Download(const TorrentFile& file, const std::string& resume_data,
                        const std::vector<std::string>& peers, DownloadObserver* observer);
  void Remove(const base::Digest& digest);

  // Any thread.
  absl::StatusOr<TorrentPtr> Enter(const ParsedTorrent& parsed, const TorrentFile& file);
  void Post(std::function<void()> task);
  void Wake();
  [[nodiscard]] TorrentPtr Find(libtorrent::client_data_t userdata) const;
  /// Tells libtorrent to let go of it; a torrent_removed_alert follows.
  void Drop(const libtorrent::torrent_handle& handle);
  [[nodiscard]] TorrentPtr FindDigest(const base::Digest& digest) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Worker thread.
  void PrepareDownload(const TorrentPtr& torrent, libtorrent::add_torrent_params params,
                       const std::string& resume_data);

  // Owner thread.
  void Run();
  void HandleAlert(libtorrent::alert* alert);
  void AddToLibtorrent(const TorrentPtr& torrent, libtorrent::add_torrent_params params);
  void OnAdded(const TorrentPtr& torrent, const libtorrent::torrent_handle& handle,
               const libtorrent::error_code& error);
  void OnRemoved(const TorrentPtr& torrent);
  void RereadPieces(const TorrentPtr& torrent);
  void RereadEverything();
  void Finish(const TorrentPtr& torrent);
  void Sealed(const TorrentPtr& torrent, const absl::Status& status);
  /// Ends a torrent that can not go on; the observer hears of it once libtorrent has let go.
  void Fail(const TorrentPtr& torrent, const absl::Status& status);
  void Tick();
  [[nodiscard]] std::chrono::milliseconds UntilTick() const;
  void SaveResume(const TorrentPtr& torrent);
  void Announced(const TorrentPtr& torrent);
  [[nodiscard]] Progress ProgressOf(const Torrent& torrent) const;
  [[nodiscard]] std::vector<TorrentPtr> All() const;
  /// Calls the observer without our lock, unless Remove() has been asked for.
  enum class Removing { kSkip, kCall };
  void Notify(const TorrentPtr& torrent, Removing removing,
              const std::function<void(DownloadObserver*)>& call);
  void Erase(const TorrentPtr& torrent);

  const SessionOptions options_;
  const std::string boot_id_;
  const std::shared_ptr<Traffic> traffic_ = std::make_shared<Traffic>();
  std::atomic<std::int64_t> hash_failures_{0};
  std::uint16_t port_ = 0;

  mutable absl::Mutex mutex_;
  std::map<Id, TorrentPtr> torrents_ ABSL_GUARDED_BY(mutex_);
  std::map<base::Digest, Id> ids_ ABSL_GUARDED_BY(mutex_);
  Id next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  /// The torrent whose observer is being called; 0 for none.
  Id notifying_ ABSL_GUARDED_BY(mutex_) = 0;

  absl::Mutex wake_mutex_;
  bool awake_ ABSL_GUARDED_BY(wake_mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(wake_mutex_) = false;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(wake_mutex_);

  /// Those with something to do at a point in time: downloads, and seeds to be called announced.
  /// Of the owner thread, like next_tick_.
  std::vector<TorrentPtr> ticking_;
  Clock::time_point next_tick_;

  std::unique_ptr<libtorrent::session> session_;
  std::unique_ptr<base::ThreadPool> workers_;
  std::thread owner_;
};

}  // namespace eagle::swarm
