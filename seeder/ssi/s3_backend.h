#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"
#include "lib/base/units.h"
#include "lib/registry/cancellation.h"
#include "lib/registry/http_transfer.h"
#include "lib/registry/retries.h"
#include "seeder/ssi/backend.h"

namespace eagle::ssi {

struct S3Options {
  /// Scheme, host and port of the service.
  registry::HttpUrl endpoint;
  std::string bucket;
  /// Before every key; "" or "something/".
  std::string prefix;
  std::string region = "us-east-1";
  std::string access_key_id;
  /// The key is the file's first line; read for every request.
  std::string secret_key_file;
  /// Authorities beside those of the system, as PEM; "" is none.
  std::string ca_file;
  /// Whether the bucket is the first part of the path, or of the host's name.
  bool path_style = true;
  /// Of an upload; each upload holds one part in memory. S3 wants at least 5 MiB.
  base::ByteSize part_size = base::MiB(8);
  /// Layers that one request lists; S3 allows for 1,000.
  int page_size = 1000;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds stall_timeout{30'000};
  registry::RetryOptions retries;

  /// Of `storage.backend.options`: the names above, `endpoint` and `bucket` at least.
  /// INVALID_ARGUMENT names the option.
  static absl::StatusOr<S3Options> Parse(const std::map<std::string, std::string>& options);
};

/// Layers as objects of an S3 bucket: `<prefix>data/<id>` and `<prefix>torrents/<id>`. Requests are
/// signed (AWS Signature Version 4). A layer that is larger than a part is a multipart upload; what
/// a seeder that died has begun is for a life-cycle rule of the bucket to abort.
class S3Backend final : public Backend {
 public:
  explicit S3Backend(S3Options options) : options_(std::move(options)) {}
  ~S3Backend() override;

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
  void Stop() override;

 private:
  class MultipartUpload;
  struct Answer {
    int status = 0;
    registry::ResponseHead head;
    std::string body;
  };
  /// What a request of ours is made of.
  struct Call {
    std::string method = "GET";
    /// Beginning with "/", without the bucket; and the query, sorted by name as it is signed.
    std::string path;
    std::string query;
    std::optional<std::string> body;
  };
  // Ends a transfer on Stop(), whichever thread runs it.
  class Running;

  [[nodiscard]] std::string DataPath(const std::string& id) const;
  [[nodiscard]] std::string TorrentPath(const std::string& id) const;
  [[nodiscard]] registry::HttpUrl UrlOf(const std::string& path, const std::string& query) const;
  absl::StatusOr<registry::HttpRequest> RequestFor(const Call& call) const;
  /// One call, tried again while that may help. NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
  /// UNAVAILABLE, CANCELLED.
  absl::StatusOr<Answer> Do(const Call& call, registry::HttpClient& client);
  absl::Status Put(const std::string& path, std::string body);
  absl::StatusOr<std::string> ListPage(const std::string& prefix, const std::string& token);

  const S3Options options_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<registry::Cancellation*> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::ssi
