#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/units.h"
#include "lib/blob/blob_cache.h"
#include "seeder/storage.h"

namespace eagle::seeder {

/// The file system back end: one file a layer, in a blob::BlobCache.
class FileStorage final : public Storage {
 public:
  static absl::StatusOr<std::unique_ptr<FileStorage>> Open(const std::string& directory,
                                                           base::ByteSize limit,
                                                           const base::Clock& clock);

  void SetEvictionListener(EvictionListener* listener) override;
  absl::StatusOr<std::unique_ptr<LayerWriter>> Create(const base::Digest& digest,
                                                      std::int64_t size_bytes,
                                                      const std::string& source) override;
  absl::Status BeginDownload(const base::Digest& digest, std::int64_t size_bytes,
                             const std::string& metainfo, const std::string& source) override;
  absl::Status SetResumeData(const base::Digest& digest, const std::string& resume_data) override;
  absl::Status FinishDownload(const base::Digest& digest) override;
  absl::Status SetMetainfo(const base::Digest& digest, const std::string& metainfo) override;
  absl::StatusOr<std::string> Read(const base::Digest& digest, std::int64_t offset,
                                   std::size_t size) override;
  std::optional<StoredLayer> Find(const base::Digest& digest) override;
  std::vector<StoredLayer> List() override;
  absl::StatusOr<std::unique_ptr<LayerPin>> Pin(const base::Digest& digest) override;
  void Touch(const base::Digest& digest) override;
  absl::Status Remove(const base::Digest& digest) override;
  Usage GetUsage() override;
  std::string SwarmDirectory() override;

 private:
  explicit FileStorage(std::unique_ptr<blob::BlobCache> cache) : cache_(std::move(cache)) {}

  std::unique_ptr<blob::BlobCache> cache_;
};

}  // namespace eagle::seeder
