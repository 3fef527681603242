#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/docker_config.h"
#include "lib/registry/origin.h"

namespace eagle::registry {

/// Finds the credentials of a registry in what its origin names. Files are read again when they
/// have changed, so that a rotated secret needs no restart. Thread-safe; may block on the disk and
/// on a credential helper (ten seconds at most).
class Credentials {
 public:
  explicit Credentials(std::chrono::milliseconds helper_timeout = std::chrono::seconds(10))
      : helper_timeout_(helper_timeout) {}

  /// For requests to `origin.endpoint`: in a docker config, the endpoint's host and port, then (not
  /// for a mirror) the registry's name. Empty when there are none. UNAVAILABLE, naming the file but
  /// nothing of what is in it, when one can not be read.
  absl::StatusOr<Credential> Find(const Origin& origin, const std::string& repository,
                                  const Cancellation& cancellation);

 private:
  // What says that a file is another one than before.
  struct Version {
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const Version&, const Version&) = default;
  };
  struct File {
    Version version;
    absl::StatusOr<std::shared_ptr<const DockerConfig>> config;
  };

  absl::StatusOr<std::shared_ptr<const DockerConfig>> Load(const std::string& path);

  const std::chrono::milliseconds helper_timeout_;
  absl::Mutex mutex_;
  std::map<std::string, File> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::registry
