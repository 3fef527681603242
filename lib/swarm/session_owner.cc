// What the session's own thread does: alerts, time, observers.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_status.hpp>
#include <utility>

#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "lib/swarm/resume.h"
#include "lib/swarm/session_impl.h"

namespace eagle::swarm {
namespace {

namespace lt = libtorrent;

// OnProgress() is due four times a second, with room for a late wake-up.
constexpr std::chrono::milliseconds kProgressEvery{200};
constexpr std::chrono::hours kNever{1};
constexpr std::chrono::seconds kResumeEvery{1};

absl::Status DiskError(const lt::error_code& error, const char* operation,
                       const std::string& directory) {
  const std::string context = fmt::format("{} in {}", operation, directory);
  if (error.category() == lt::system_category() || error.category() == lt::generic_category()) {
    return base::ErrnoError(error.value(), context);
  }
  return absl::InternalError(fmt::format("{}: {}", context, error.message()));
}

bool NeedsTicks(const Torrent& torrent) {
  return !torrent.ended && (!torrent.complete || torrent.announced);
}

}  // namespace

void Session::Impl::Post(std::function<void()> task) {
  absl::MutexLock lock(&wake_mutex_);
  tasks_.push_back(std::move(task));
  awake_ = true;
}

void Session::Impl::Wake() {
  absl::MutexLock lock(&wake_mutex_);
  awake_ = true;
}

void Session::Impl::Drop(const lt::torrent_handle& handle) {
  try {
    session_->remove_torrent(handle);
  } catch (const std::exception& error) {
    observe::Debug("torrent_gone_already", "error", error.what());
  }
}

Session::Impl::TorrentPtr Session::Impl::Find(lt::client_data_t userdata) const {
  const auto id = reinterpret_cast<Id>(userdata.get<TorrentTag>());
  absl::MutexLock lock(&mutex_);
  const auto found = torrents_.find(id);
  return found == torrents_.end() ? nullptr : found->second;
}

Session::Impl::TorrentPtr Session::Impl::FindDigest(const base::Digest& digest) const {
  const auto id = ids_.find(digest);
  return id == ids_.end() ? nullptr : torrents_.at(id->second);
}

std::vector<Session::Impl::TorrentPtr> Session::Impl::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<TorrentPtr> all;
  all.reserve(torrents_.size());
  for (const auto& [id, torrent] : torrents_) all.push_back(torrent);
  return all;
}

void Session::Impl::Run() {
  bool stopping = false;
  while (!stopping) {
    std::deque<std::function<void()>> tasks;
    {
      absl::MutexLock lock(&wake_mutex_);
      wake_mutex_.AwaitWithTimeout(absl::Condition(&awake_), absl::FromChrono(UntilTick()));
      awake_ = false;
      tasks.swap(tasks_);
      stopping = stopping_;
    }
    std::vector<lt::alert*> alerts;
    session_->pop_alerts(&alerts);
    for (lt::alert* alert : alerts) {
      try {
        HandleAlert(alert);
      } catch (const std::exception& error) {
        // A torrent that was removed meanwhile: its handle is no longer good for calls.
        observe::Debug("alert_outlived_torrent", "alert", alert->what(), "error", error.what());
      }
    }
    for (const auto& task : tasks) task();
    Tick();
  }
  for (const TorrentPtr& torrent : All()) SaveResume(torrent);
}

void Session::Impl::HandleAlert(lt::alert* alert) {
  if (lt::alert_cast<lt::alerts_dropped_alert>(alert) != nullptr) {
    RereadEverything();
  } else if (const auto* failed = lt::alert_cast<lt::listen_failed_alert>(alert)) {
    observe::Warn("listen_failed", "address", failed->listen_interface(), "error",
                  failed->error.message());
  } else if (const auto* removed = lt::alert_cast<lt::torrent_removed_alert>(alert)) {
    if (const TorrentPtr torrent = Find(removed->userdata)) OnRemoved(torrent);
  } else if (const auto* added = lt::alert_cast<lt::add_torrent_alert>(alert)) {
    if (const TorrentPtr torrent = Find(added->params.userdata)) {
      OnAdded(torrent, added->handle, added->error);
    }
  }
  const auto* about = dynamic_cast<lt::torrent_alert*>(alert);
  if (about == nullptr || !about->handle.is_valid()) return;
  const TorrentPtr torrent = Find(about->handle.userdata());
  if (torrent == nullptr) return;

  if (const auto* finished = lt::alert_cast<lt::piece_finished_alert>(alert)) {
    torrent->pieces.Set(static_cast<int>(finished->piece_index));
  } else if (const auto* changed = lt::alert_cast<lt::state_changed_alert>(alert)) {
    if (changed->state == lt::torrent_status::checking_files) changed->handle.resume();
  } else if (const auto* checked = lt::alert_cast<lt::torrent_checked_alert>(alert)) {
    // Not earlier: only then does resuming make libtorrent dial the known peers at once.
    checked->handle.resume();
    RereadPieces(torrent);
  } else if (lt::alert_cast<lt::torrent_finished_alert>(alert) != nullptr) {
    Finish(torrent);
  } else if (lt::alert_cast<lt::hash_failed_alert>(alert) != nullptr) {
    ++hash_failures_;
  } else if (const auto* failed = lt::alert_cast<lt::tracker_error_alert>(alert)) {
    if (!torrent->announced) return;
    torrent->failed_trackers.insert(failed->tracker_url());
    if (torrent->failed_trackers.size() >= options_.trackers.size()) Announced(torrent);
  } else if (lt::alert_cast<lt::tracker_reply_alert>(alert) != nullptr) {
    Announced(torrent);
  } else if (const auto* disk = lt::alert_cast<lt::file_error_alert>(alert)) {
    Fail(torrent, DiskError(disk->error, lt::operation_name(disk->op), torrent->directory));
  } else if (const auto* broken = lt::alert_cast<lt::torrent_error_alert>(alert)) {
    Fail(torrent, DiskError(broken->error, "torrent", torrent->directory));
  }
}

void Session::Impl::AddToLibtorrent(const TorrentPtr& torrent, lt::add_torrent_params params) {
  bool removing = false;
  {
    absl::MutexLock lock(&mutex_);
    removing = torrent->removing;
  }
  if (removing) {
    OnRemoved(torrent);
    return;
  }
  params.userdata = lt::client_data_t(reinterpret_cast<TorrentTag*>(torrent->id));
  params.extensions.push_back(CountTraffic(torrent->traffic, traffic_));
  session_->async_add_torrent(std::move(params));
  if (NeedsTicks(*torrent)) ticking_.push_back(torrent);
}

void Session::Impl::OnAdded(const TorrentPtr& torrent, const lt::torrent_handle& handle,
                            const lt::error_code& error) {
  if (error) {
    torrent->failure =
        absl::InternalError(fmt::format("add {}: {}", torrent->digest.str(), error.message()));
    OnRemoved(torrent);
    return;
  }
  bool removing = false;
  {
    absl::MutexLock lock(&mutex_);
    torrent->handle = handle;
    removing = torrent->removing;
  }
  if (removing) {
    Drop(handle);
  } else if (options_.trackers.empty()) {
    Announced(torrent);
  }
}

void Session::Impl::RereadPieces(const TorrentPtr& torrent) {
  if (torrent->complete) return;
  lt::torrent_handle handle;
  {
    absl::MutexLock lock(&mutex_);
    handle = torrent->handle;
  }
  if (!handle.is_valid()) return;
  const lt::torrent_status status = handle.status(lt::torrent_handle::query_pieces);
  for (const lt::piece_index_t piece : status.pieces.range()) {
    if (status.pieces[piece]) torrent->pieces.Set(static_cast<int>(piece));
  }
  if (status.flags & lt::torrent_flags::paused) handle.resume();
  if (status.is_seeding) Finish(torrent);
}

void Session::Impl::RereadEverything() {
  observe::Warn("alerts_dropped", "effect", "state of all torrents is read again");
  for (const TorrentPtr& torrent : All()) RereadPieces(torrent);
}

void Session::Impl::Finish(const TorrentPtr& torrent) {
  if (torrent->complete || torrent->finishing) return;
  torrent->finishing = true;
  torrent->pieces.SetAll();
  // Opened here and handed over: the worker must seal this inode, whatever the name means by then.
  const std::string path = fmt::format("{}/{}", torrent->directory, torrent->digest.hex());
  auto opened = base::OpenFile(path, O_RDONLY | O_NOFOLLOW);
  if (!opened.ok()) {
    Fail(torrent, opened.status());
    return;
  }
  auto fd = std::make_shared<base::UniqueFd>(std::move(*opened));
  workers_->Post([this, torrent, fd] {
    const absl::Status status = SealFile(fd->get(), torrent->directory, torrent->size_bytes);
    fd->Reset();
    Post([this, torrent, status] { Sealed(torrent, status); });
  });
}

void Session::Impl::Sealed(const TorrentPtr& torrent, const absl::Status& status) {
  if (!status.ok()) {
    Fail(torrent, status);
    return;
  }
  torrent->complete = true;
  Notify(torrent, Removing::kSkip, [&](DownloadObserver* observer) {
    observer->OnComplete(torrent->digest, ProgressOf(*torrent));
  });
}

void Session::Impl::Fail(const TorrentPtr& torrent, const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (torrent->removing) return;
  torrent->removing = true;
  torrent->failure = status;
  if (torrent->handle.is_valid()) Drop(torrent->handle);
}

void Session::Impl::OnRemoved(const TorrentPtr& torrent) {
  SaveResume(torrent);
  torrent->ended = true;
  if (torrent->failure.ok()) {
    Erase(torrent);
    return;
  }
  if (torrent->observer == nullptr) {
    observe::Warn("seed_failed", "digest", torrent->digest.str(), "error",
                  base::Message(torrent->failure));
    Announced(torrent);
    Erase(torrent);
    return;
  }
  // Out of the tables before the observer hears of it, so that it may start again from there.
  {
    absl::MutexLock lock(&mutex_);
    torrents_.erase(torrent->id);
    ids_.erase(torrent->digest);
    notifying_ = torrent->id;
  }
  torrent->observer->OnError(torrent->digest, torrent->failure);
  absl::MutexLock lock(&mutex_);
  notifying_ = 0;
}

void Session::Impl::Erase(const TorrentPtr& torrent) {
  absl::MutexLock lock(&mutex_);
  if (torrents_.erase(torrent->id) > 0) ids_.erase(torrent->digest);
}

void Session::Impl::Notify(const TorrentPtr& torrent, Removing removing,
                           const std::function<void(DownloadObserver*)>& call) {
  {
    absl::MutexLock lock(&mutex_);
    if (torrent->observer == nullptr || !torrents_.contains(torrent->id)) return;
    if (torrent->removing && removing == Removing::kSkip) return;
    notifying_ = torrent->id;
  }
  call(torrent->observer);
  absl::MutexLock lock(&mutex_);
  notifying_ = 0;
}

void Session::Impl::Announced(const TorrentPtr& torrent) {
  if (auto announced = std::exchange(torrent->announced, nullptr)) announced();
}

Progress Session::Impl::ProgressOf(const Torrent& torrent) const {
  Progress progress;
  progress.bytes_done = torrent.pieces.bytes();
  progress.bytes_contiguous = torrent.pieces.contiguous_bytes();
  progress.bytes_from_peers = torrent.resumed_from_peers + torrent.traffic->from_peers;
  progress.bytes_from_seeders = torrent.resumed_from_seeders + torrent.traffic->from_seeders;
  progress.peers = torrent.traffic->peers;
  progress.complete = torrent.complete;
  return progress;
}

void Session::Impl::Tick() {
  const auto now = Clock::now();
  if (ticking_.empty() || now < next_tick_) return;
  next_tick_ = now + kProgressEvery;
  for (const TorrentPtr& torrent : ticking_) {
    if (torrent->announced && now >= torrent->announced_by) Announced(torrent);
    if (torrent->complete) continue;
    Notify(torrent, Removing::kSkip, [&](DownloadObserver* observer) {
      observer->OnProgress(torrent->digest, ProgressOf(*torrent));
    });
    if (now - torrent->resume_saved_at >= kResumeEvery) {
      torrent->resume_saved_at = now;
      SaveResume(torrent);
    }
  }
  std::erase_if(ticking_, [](const TorrentPtr& torrent) { return !NeedsTicks(*torrent); });
}

std::chrono::milliseconds Session::Impl::UntilTick() const {
  if (ticking_.empty()) return kNever;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_tick_ - Clock::now());
  return std::max(left, std::chrono::milliseconds::zero());
}

void Session::Impl::SaveResume(const TorrentPtr& torrent) {
  if (torrent->complete || torrent->pieces.bytes() == torrent->resume_saved_bytes) return;
  const auto file = IdentifyFile(fmt::format("{}/{}", torrent->directory, torrent->digest.hex()));
  if (!file.ok()) return;
  torrent->resume_saved_bytes = torrent->pieces.bytes();
  const Progress progress = ProgressOf(*torrent);
  const std::string state = EncodeResume({.boot_id = boot_id_,
                                          .inode = file->inode,
                                          .birth_ns = file->birth_ns,
                                          .bits = torrent->pieces.Bits(),
                                          .from_peers = progress.bytes_from_peers,
                                          .from_seeders = progress.bytes_from_seeders});
  Notify(torrent, Removing::kCall,
         [&](DownloadObserver* observer) { observer->OnResumeData(torrent->digest, state); });
}

}  // namespace eagle::swarm
