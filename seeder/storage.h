#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/digest.h"
#include "lib/base/status.h"

namespace eagle::seeder {

/// A layer that the seeder holds, or is getting from the swarm.
struct StoredLayer {
  base::Digest digest;
  std::int64_t size_bytes = 0;
  bool complete = false;
  /// Bencoded torrent; "" when it has to be made from the bytes again.
  std::string metainfo;
  /// Of an unfinished swarm download.
  std::string resume_data;
  /// "registry/repository" that it was first asked for from.
  std::string source;
  std::chrono::system_clock::time_point last_used;
};

/// Takes a layer's bytes in order. Not thread-safe. Destroyed without Commit(), nothing is left.
class LayerWriter {
 public:
  virtual ~LayerWriter() = default;
  virtual absl::Status Write(std::string_view data) = 0;
  /// All bytes are there and right: the layer is stored, durable, with its torrent. Until the
  /// writer is destroyed it is kept from eviction.
  virtual absl::Status Commit(const std::string& metainfo) = 0;
};

/// Keeps a layer from eviction while it lives.
class LayerPin {
 public:
  virtual ~LayerPin() = default;
};

/// Called before a layer is evicted, so that the swarm lets go of it. May block.
class EvictionListener {
 public:
  virtual ~EvictionListener() = default;
  virtual void OnEviction(const base::Digest& digest) = 0;
};

/// The disk that the seeder works on: the swarm reads from it, and the least recently used layers
/// go when room is needed. What keeps layers for good is under it (ssi/backend.h). Thread-safe;
/// methods may block.
class Storage {
 public:
  struct Usage {
    std::int64_t bytes = 0;
    std::int64_t limit_bytes = 0;
    std::int64_t layers = 0;
    std::int64_t evicted_bytes = 0;
    std::int64_t evicted_layers = 0;
  };

  virtual ~Storage() = default;

  virtual void SetEvictionListener(EvictionListener* listener) = 0;

  /// Makes room for a layer from its registry. RESOURCE_EXHAUSTED when it does not fit,
  /// ALREADY_EXISTS when the layer is there in any state. `source` is "registry/repository".
  virtual absl::StatusOr<std::unique_ptr<LayerWriter>> Create(const base::Digest& digest,
                                                              std::int64_t size_bytes,
                                                              const std::string& source) = 0;

  /// Makes room for a layer that the swarm will write into SwarmDirectory(). Errors as Create().
  virtual absl::Status BeginDownload(const base::Digest& digest, std::int64_t size_bytes,
                                     const std::string& metainfo, const std::string& source) = 0;
  virtual absl::Status SetResumeData(const base::Digest& digest,
                                     const std::string& resume_data) = 0;
  /// The swarm has written everything. Reads it all: DATA_LOSS, and the layer is gone, when the
  /// bytes are not the digest's.
  virtual absl::Status FinishDownload(const base::Digest& digest) = 0;

  /// For a complete layer without one.
  virtual absl::Status SetMetainfo(const base::Digest& digest, const std::string& metainfo) = 0;
  /// Bytes of a complete layer; fewer only at its end.
  virtual absl::StatusOr<std::string> Read(const base::Digest& digest, std::int64_t offset,
                                           std::size_t size) = 0;

  [[nodiscard]] virtual std::optional<StoredLayer> Find(const base::Digest& digest) = 0;
  /// The most recently used first.
  [[nodiscard]] virtual std::vector<StoredLayer> List() = 0;
  /// NOT_FOUND when it is not there.
  virtual absl::StatusOr<std::unique_ptr<LayerPin>> Pin(const base::Digest& digest) = 0;
  /// Now is the layer's last use.
  virtual void Touch(const base::Digest& digest) = 0;
  virtual absl::Status Remove(const base::Digest& digest) = 0;
  [[nodiscard]] virtual Usage GetUsage() = 0;

  /// Read path of the swarm: the folder with each layer as a file named by its hex digest.
  [[nodiscard]] virtual std::string SwarmDirectory() = 0;
};

}  // namespace eagle::seeder
