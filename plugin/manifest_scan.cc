#include "plugin/manifest_scan.h"

#include <fcntl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "plugin/manifest.h"

namespace eagle::plugin {
namespace {

// Enough to tell JSON from an archive.
constexpr std::size_t kPeekBytes = 64;

void LearnBlob(const ContentStore& store, const BlobInfo& blob, ManifestIndex& index) {
  const auto digest = base::Digest::Parse(blob.name.str());
  const auto fd = base::OpenFile(store.PathOf(blob.name), O_RDONLY | O_NOFOLLOW);
  if (!digest.ok() || !fd.ok()) return;
  const auto start = base::ReadAt(fd->get(), 0, kPeekBytes);
  if (!start.ok() || start->find('{') == std::string::npos) return;
  const auto content = base::ReadAt(fd->get(), 0, static_cast<std::size_t>(blob.size_bytes));
  if (!content.ok()) return;
  if (auto layers = ParseManifestLayers(*content)) index.Learn(*digest, "", *std::move(layers));
}

}  // namespace

void ScanManifests(const ContentStore& store, ManifestIndex& index, const std::atomic<bool>& stop) {
  std::vector<BlobInfo> small;
  const absl::Status status = store.Walk([&](const BlobInfo& blob) {
    if (blob.size_bytes <= kMaxManifestBytes) small.push_back(blob);
    return !stop;
  });
  if (!status.ok()) observe::Warn("manifest_scan_failed", "error", base::Message(status));
  std::sort(small.begin(), small.end(),
            [](const BlobInfo& a, const BlobInfo& b) { return a.created_at < b.created_at; });
  for (const BlobInfo& blob : small) {
    if (stop) return;
    LearnBlob(store, blob, index);
  }
  index.MarkComplete();
  observe::Info("manifests_known", "count", index.size());
}

}  // namespace eagle::plugin
