#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/digest.h"
#include "plugin/manifest.h"

namespace eagle::plugin {

/// Which image manifests on this node name a layer, learned from the manifests that containerd
/// commits. Bounded: the manifests learned first are forgotten. Thread-safe; never blocks.
class ManifestIndex {
 public:
  /// The layers of one manifest.
  struct Parent {
    base::Digest manifest;
    std::vector<ManifestLayer> layers;
  };

  explicit ManifestIndex(std::size_t max_layers = 100'000) : max_layers_(max_layers) {}

  /// `containerd_namespace` may be "" when it is not known. Learning it again makes it the latest.
  void Learn(const base::Digest& manifest, std::string_view containerd_namespace,
             std::vector<ManifestLayer> layers);
  void Forget(const base::Digest& manifest);

  /// The manifests with this layer, at most `max`: those that the namespace committed itself before
  /// others, the latest first.
  [[nodiscard]] std::vector<Parent> ParentsOf(const base::Digest& layer,
                                              std::string_view containerd_namespace,
                                              std::size_t max) const;

  [[nodiscard]] std::size_t size() const;

  /// Whether the manifests that were on disk at the start have all been learned.
  void MarkComplete() { complete_ = true; }
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  struct Record {
    base::Digest manifest;
    std::string containerd_namespace;
    std::vector<ManifestLayer> layers;
    std::uint64_t learned = 0;
  };
  void ForgetLocked(const base::Digest& manifest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::size_t max_layers_;
  std::atomic<bool> complete_ = false;
  mutable absl::Mutex mutex_;
  std::uint64_t learned_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t layers_ ABSL_GUARDED_BY(mutex_) = 0;
  // Learned first, first.
  std::list<Record> records_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<base::Digest, std::list<Record>::iterator> by_manifest_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<base::Digest, std::vector<base::Digest>> by_layer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::plugin
