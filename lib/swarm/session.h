#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/base/units.h"

namespace eagle::swarm {

/// What this process is in a swarm; peers recognise it by the peer id ("-EN" node, "-ES" seeder).
enum class Role { kNode, kSeeder };

struct SessionOptions {
  Role role = Role::kNode;
  std::string listen_address = "0.0.0.0";
  std::uint16_t port = 0;
  /// IP address to state in announces (ip=); "" for none.
  std::string announce_address;
  /// Announce URLs; every torrent announces to each of them.
  std::vector<std::string> trackers;
  /// Over all peers, also those on private addresses.
  base::ByteRate upload_limit;
  base::ByteRate download_limit;
  /// CIDRs that peers must be in; empty for no bound.
  std::vector<std::string> peer_cidrs;
  /// For tests that have one address for several peers. In production a peer is its address: a
  /// second connection from there is a reconnect, or somebody who wants more than one share.
  bool allow_multiple_connections_per_ip = false;
};

/// INVALID_ARGUMENT names the entry that is no CIDR; for checking a configuration.
absl::Status CheckPeerCidrs(const std::vector<std::string>& cidrs);

/// Where a torrent's data is: `directory`/<hex digest>, one file, as the torrent names it.
struct TorrentFile {
  /// A bencoded metainfo made by MakeTorrent() or received from a seeder.
  std::string metainfo;
  std::string directory;
};

struct Progress {
  std::int64_t bytes_done = 0;        // verified
  std::int64_t bytes_contiguous = 0;  // verified prefix of the file
  std::int64_t bytes_from_peers = 0;  // payload received from nodes
  std::int64_t bytes_from_seeders = 0;
  int peers = 0;
  bool complete = false;
};

/// Called by the session about a download. On the session's own thread: must not block, and may
/// call back into the session (its methods only queue work).
class DownloadObserver {
 public:
  virtual ~DownloadObserver() = default;
  /// At least four times a second while the torrent is active.
  virtual void OnProgress(const base::Digest& digest, const Progress& progress) = 0;
  /// Every piece verified and on disk, the file closed, fsynced and 0444: this process never writes
  /// to that inode again. The torrent goes on seeding.
  virtual void OnComplete(const base::Digest& digest, const Progress& progress) = 0;
  /// The disk failed or is full (RESOURCE_EXHAUSTED). The torrent is gone from the session; the
  /// partial file stays. After OnComplete() it means that the file could not be read any more.
  virtual void OnError(const base::Digest& digest, const absl::Status& status) = 0;
  /// Opaque resume state of an unfinished download, to be given to Download() after a restart:
  /// every second while pieces arrive, and when the download ends without being complete.
  virtual void OnResumeData(const base::Digest& digest, const std::string& resume_data) = 0;
};

struct SessionTotals {
  std::int64_t payload_uploaded_bytes = 0;
  std::int64_t payload_from_peers_bytes = 0;
  std::int64_t payload_from_seeders_bytes = 0;
  std::int64_t hash_failures = 0;
  int torrents = 0;
  int peers = 0;
};

/// The BitTorrent session of a process; the only code that includes libtorrent is in this folder.
/// One thread of its own reads libtorrent's alerts and calls observers. All methods are thread-safe
/// and return without waiting for the network or the disk, except where they say so.
///
/// uTP, DHT, LSD, UPnP, NAT-PMP and PEX are off, every address is in the global peer class so that
/// limits hold, torrents announce to all trackers and are never queued (README.md, "Settings").
class Session {
 public:
  /// UNAVAILABLE when the port is taken (never another port instead), INVALID_ARGUMENT for options
  /// that make no sense. Blocks until the port is listening.
  static absl::StatusOr<std::unique_ptr<Session>> Start(const SessionOptions& options);

  /// Hands out resume data of unfinished downloads, tells trackers "stopped" (at most about a
  /// second), joins. No observer is called afterwards.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Seeds a complete file without hashing it again. `announced` is called once on the session's
  /// thread when the first tracker has answered, when all have refused (or there is none), when
  /// adding failed, or after 250 ms; never when the torrent or the session ends before that. A file
  /// that can not be read ends the torrent with a warning in the log. Errors as for Download().
  absl::Status Seed(const TorrentFile& file, std::function<void()> announced = nullptr);

  /// Downloads into `file.directory`, resuming from `resume_data` when that is not empty and fits
  /// the file. A file that it does not fit, or that has a second name, is unlinked first: no inode
  /// that somebody else may hold is ever written to. `peers` are "ip:port" of known seeders,
  /// dialled at once, beside what trackers tell. The observer must outlive the session or the
  /// torrent's Remove(). A digest that is active already is ALREADY_EXISTS; bad metainfo is
  /// INVALID_ARGUMENT.
  absl::Status Download(const TorrentFile& file, const std::string& resume_data,
                        const std::vector<std::string>& peers, DownloadObserver* observer);

  /// Ends a torrent and leaves its file. Waits until libtorrent has let go of the file (at most 5
  /// s) and no observer call for it is running or will follow. An unfinished download hands out its
  /// resume data meanwhile. Not from an observer. No such torrent is no error.
  void Remove(const base::Digest& digest);

  [[nodiscard]] bool Has(const base::Digest& digest) const;
  [[nodiscard]] SessionTotals Totals() const;
  /// The port in use.
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::swarm
