#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/swarm/session.h"

namespace eagle::seeder {

/// What the seeder does in the swarm: a seam, so that the logic is tested without a network. The
/// contract of each method is swarm::Session's; files are in the storage's folder.
class Swarm {
 public:
  virtual ~Swarm() = default;
  virtual absl::Status Seed(const std::string& metainfo, std::function<void()> announced) = 0;
  virtual absl::Status Download(const std::string& metainfo, const std::string& resume_data,
                                const std::vector<std::string>& peers,
                                swarm::DownloadObserver* observer) = 0;
  virtual void Remove(const base::Digest& digest) = 0;
  [[nodiscard]] virtual swarm::SessionTotals Totals() const = 0;
};

/// The swarm of a BitTorrent session, which it owns, so that others may still call it when the
/// session has ended.
class SessionSwarm final : public Swarm {
 public:
  SessionSwarm(std::unique_ptr<swarm::Session> session, std::string directory)
      : session_(std::move(session)), directory_(std::move(directory)) {}

  absl::Status Seed(const std::string& metainfo, std::function<void()> announced) override;
  absl::Status Download(const std::string& metainfo, const std::string& resume_data,
                        const std::vector<std::string>& peers,
                        swarm::DownloadObserver* observer) override;
  void Remove(const base::Digest& digest) override;

  [[nodiscard]] swarm::SessionTotals Totals() const override;
  /// Ends the session. Seed() and Download() are UNAVAILABLE from now on, Remove() does nothing.
  void Close();

 private:
  mutable absl::Mutex mutex_;
  std::unique_ptr<swarm::Session> session_ ABSL_GUARDED_BY(mutex_);
  const std::string directory_;
};

}  // namespace eagle::seeder
