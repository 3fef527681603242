#include "plugin/manifest_index.h"

#include <algorithm>
#include <utility>

namespace eagle::plugin {

void ManifestIndex::Learn(const base::Digest& manifest, std::string_view containerd_namespace,
                          std::vector<ManifestLayer> layers) {
  absl::MutexLock lock(&mutex_);
  // Found on disk while containerd was already committing: that knew more.
  if (containerd_namespace.empty() && by_manifest_.contains(manifest)) return;
  ForgetLocked(manifest);
  layers_ += layers.size();
  while (layers_ > max_layers_ && !records_.empty()) ForgetLocked(records_.front().manifest);
  for (const ManifestLayer& layer : layers) {
    std::vector<base::Digest>& parents = by_layer_[layer.digest];
    // An image may have the same layer twice.
    if (parents.empty() || parents.back() != manifest) parents.push_back(manifest);
  }
  records_.push_back({.manifest = manifest,
                      .containerd_namespace = std::string(containerd_namespace),
                      .layers = std::move(layers),
                      .learned = ++learned_});
  by_manifest_[manifest] = std::prev(records_.end());
}

void ManifestIndex::Forget(const base::Digest& manifest) {
  absl::MutexLock lock(&mutex_);
  ForgetLocked(manifest);
}

void ManifestIndex::ForgetLocked(const base::Digest& manifest) {
  const auto found = by_manifest_.find(manifest);
  if (found == by_manifest_.end()) return;
  const auto record = found->second;
  by_manifest_.erase(found);
  layers_ -= record->layers.size();
  for (const ManifestLayer& layer : record->layers) {
    const auto parents = by_layer_.find(layer.digest);
    if (parents == by_layer_.end()) continue;
    std::erase(parents->second, manifest);
    if (parents->second.empty()) by_layer_.erase(parents);
  }
  records_.erase(record);
}

std::vector<ManifestIndex::Parent> ManifestIndex::ParentsOf(const base::Digest& layer,
                                                            std::string_view containerd_namespace,
                                                            std::size_t max) const {
  absl::MutexLock lock(&mutex_);
  const auto found = by_layer_.find(layer);
  if (found == by_layer_.end()) return {};
  std::vector<const Record*> records;
  for (const base::Digest& manifest : found->second) {
    records.push_back(&*by_manifest_.at(manifest));
  }
  std::sort(records.begin(), records.end(), [&](const Record* a, const Record* b) {
    const bool a_ours = a->containerd_namespace == containerd_namespace;
    const bool b_ours = b->containerd_namespace == containerd_namespace;
    return a_ours != b_ours ? a_ours : a->learned > b->learned;
  });
  std::vector<Parent> parents;
  for (std::size_t i = 0; i < std::min(max, records.size()); ++i) {
    parents.push_back({.manifest = records[i]->manifest, .layers = records[i]->layers});
  }
  return parents;
}

std::size_t ManifestIndex::size() const {
  absl::MutexLock lock(&mutex_);
  return records_.size();
}

}  // namespace eagle::plugin
