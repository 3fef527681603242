#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "lib/base/status.h"
#include "seeder/ssi/backend.h"

namespace eagle::ssi {

/// Layers as files of a folder, which several seeders may share (NFS): `data/<id>` and
/// `torrents/<id>`, written below `incoming/` first. What a seeder that died has left there is
/// removed when it is a day old.
class FsBackend final : public Backend {
 public:
  static absl::StatusOr<std::unique_ptr<FsBackend>> Open(const std::string& directory);

  absl::StatusOr<std::unique_ptr<Upload>> Create(const std::string& id, std::int64_t size_bytes,
                                                 const std::string& metainfo) override;
  absl::StatusOr<LayerInfo> Stat(const std::string& id) override;
  absl::StatusOr<std::string> Metainfo(const std::string& id) override;
  absl::Status SetMetainfo(const std::string& id, const std::string& metainfo) override;
  absl::Status Download(const std::string& id, std::int64_t offset, std::int64_t size_bytes,
                        const Sink& sink) override;
  absl::Status Delete(const std::string& id) override;
  absl::Status List(const std::string& prefix, const Visitor& visitor) override;
  std::string DataLocation(const std::string& id) override;
  std::string TorrentLocation(const std::string& id) override;
  void Stop() override { stopping_ = true; }

 private:
  explicit FsBackend(std::string directory) : directory_(std::move(directory)) {}

  const std::string directory_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace eagle::ssi
