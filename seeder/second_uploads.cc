#include "seeder/second_uploads.h"

#include <fmt/format.h>

#include "lib/observe/log.h"
#include "lib/swarm/torrent.h"

namespace eagle::seeder {

absl::StatusOr<std::int64_t> SecondUploads::Check(const base::Digest& digest,
                                                  const std::string& metainfo) const {
  const auto torrent = swarm::ParseTorrent(metainfo);
  if (!torrent.ok()) {
    return absl::UnavailableError(fmt::format("the other seeder's torrent of {} is malformed: {}",
                                              digest.str(), base::Message(torrent.status())));
  }
  if (torrent->digest != digest) {
    return absl::UnavailableError(fmt::format("the other seeder sent the torrent of {} for {}",
                                              torrent->digest.str(), digest.str()));
  }
  if (torrent->size_bytes > max_layer_size_.bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("the layer has {} bytes, more than the {} that a layer may have",
                    torrent->size_bytes, max_layer_size_.str()));
  }
  return torrent->size_bytes;
}

void SecondUploads::Join(const base::Digest& digest, const LayerAnswer& answer,
                         const std::string& source) {
  disk_.Post([this, digest, answer, source] { JoinNow(digest, answer, source); });
}

void SecondUploads::JoinNow(const base::Digest& digest, const LayerAnswer& answer,
                            const std::string& source) {
  if (storage_.Find(digest)) return;
  absl::Status status = storage_.BeginDownload(digest, answer.size_bytes, answer.metainfo, source);
  if (!status.ok()) {
    observe::Warn("join_failed", "digest", digest.str(), "error", base::Message(status));
    return;
  }
  status = swarm_.Download(answer.metainfo, "", answer.peers, this);
  // The session has ended: the next start goes on from here.
  if (absl::IsUnavailable(status)) return;
  if (!status.ok()) Drop(digest, status);
}

void SecondUploads::Resume(const StoredLayer& layer) {
  const absl::Status status = swarm_.Download(layer.metainfo, layer.resume_data, {}, this);
  if (!status.ok()) Drop(layer.digest, status);
}

void SecondUploads::Drop(const base::Digest& digest, const absl::Status& why) {
  observe::Warn("join_failed", "digest", digest.str(), "error", base::Message(why));
  swarm_.Remove(digest);
  if (const absl::Status status = storage_.Remove(digest); !status.ok()) {
    observe::Error("remove_failed", "digest", digest.str(), "error", base::Message(status));
  }
}

void SecondUploads::OnProgress(const base::Digest&, const swarm::Progress&) {}

void SecondUploads::OnComplete(const base::Digest& digest, const swarm::Progress&) {
  disk_.Post([this, digest] {
    const absl::Status status = storage_.FinishDownload(digest);
    if (!status.ok()) return Drop(digest, status);
    observe::Info("layer_joined", "digest", digest.str());
  });
}

void SecondUploads::OnError(const base::Digest& digest, const absl::Status& status) {
  disk_.Post([this, digest, status] { Drop(digest, status); });
}

void SecondUploads::OnResumeData(const base::Digest& digest, const std::string& resume_data) {
  disk_.Post([this, digest, resume_data] {
    // Without it a restart checks the file, which is all that is lost.
    (void)storage_.SetResumeData(digest, resume_data);
  });
}

}  // namespace eagle::seeder
