#pragma once

#include <string>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/thread_pool.h"
#include "lib/base/units.h"
#include "seeder/other_seeders.h"
#include "seeder/storage.h"
#include "seeder/swarm.h"

namespace eagle::seeder {

/// The layers that this seeder gets from the swarm, to be an uploader beside the one that fetched
/// them from the registry. Failures are logged: nobody waits for these. Thread-safe.
class SecondUploads final : public swarm::DownloadObserver {
 public:
  /// Both must outlive it, and the swarm's session must have ended before its destructor.
  SecondUploads(Storage& storage, Swarm& swarm, base::ByteSize max_layer_size)
      : storage_(storage), swarm_(swarm), max_layer_size_(max_layer_size) {}

  /// Checks that the torrent is the layer's, and returns the layer's size. UNAVAILABLE when it is
  /// not, RESOURCE_EXHAUSTED when the layer is larger than allowed.
  [[nodiscard]] absl::StatusOr<std::int64_t> Check(const base::Digest& digest,
                                                   const std::string& metainfo) const;

  /// Begins the download of a layer that has been checked, unless it is there already. Does not
  /// wait. `source` is "registry/repository".
  void Join(const base::Digest& digest, const LayerAnswer& answer, const std::string& source);

  /// Goes on with an unfinished one after a restart.
  void Resume(const StoredLayer& layer);

  void OnProgress(const base::Digest& digest, const swarm::Progress& progress) override;
  void OnComplete(const base::Digest& digest, const swarm::Progress& progress) override;
  void OnError(const base::Digest& digest, const absl::Status& status) override;
  void OnResumeData(const base::Digest& digest, const std::string& resume_data) override;

 private:
  void JoinNow(const base::Digest& digest, const LayerAnswer& answer, const std::string& source);
  void Drop(const base::Digest& digest, const absl::Status& why);

  Storage& storage_;
  Swarm& swarm_;
  const base::ByteSize max_layer_size_;
  // The session's thread must not wait for the disk; one thread, so that steps keep their order.
  base::ThreadPool disk_{1};
};

}  // namespace eagle::seeder
