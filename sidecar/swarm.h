#pragma once

#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"
#include "lib/swarm/session.h"

namespace eagle::sidecar {

/// What the sidecar does in the swarm: a seam, so that the logic is tested without a network. The
/// contract of each method is swarm::Session's; files are in the cache's folder.
class Swarm {
 public:
  virtual ~Swarm() = default;
  virtual absl::Status Seed(const std::string& metainfo) = 0;
  virtual absl::Status Download(const std::string& metainfo, const std::string& resume_data,
                                const std::vector<std::string>& peers,
                                swarm::DownloadObserver* observer) = 0;
  virtual void Remove(const base::Digest& digest) = 0;
  [[nodiscard]] virtual bool Has(const base::Digest& digest) const = 0;
  [[nodiscard]] virtual swarm::SessionTotals Totals() const = 0;
};

/// The swarm of a BitTorrent session. `session` must outlive it.
class SessionSwarm final : public Swarm {
 public:
  SessionSwarm(swarm::Session& session, std::string directory)
      : session_(session), directory_(std::move(directory)) {}

  absl::Status Seed(const std::string& metainfo) override {
    return session_.Seed({metainfo, directory_});
  }
  absl::Status Download(const std::string& metainfo, const std::string& resume_data,
                        const std::vector<std::string>& peers,
                        swarm::DownloadObserver* observer) override {
    return session_.Download({metainfo, directory_}, resume_data, peers, observer);
  }
  void Remove(const base::Digest& digest) override { session_.Remove(digest); }
  [[nodiscard]] bool Has(const base::Digest& digest) const override { return session_.Has(digest); }
  [[nodiscard]] swarm::SessionTotals Totals() const override { return session_.Totals(); }

 private:
  swarm::Session& session_;
  const std::string directory_;
};

}  // namespace eagle::sidecar
