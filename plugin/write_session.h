#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/status.h"
#include "lib/base/thread_pool.h"
#include "plugin/content_ref.h"
#include "plugin/content_store.h"
#include "plugin/ingest_store.h"
#include "plugin/layer_supply.h"
#include "plugin/manifest_index.h"
#include "plugin/plugin_metrics.h"

namespace eagle::plugin {

/// What write sessions work with; all of it outlives them.
struct WriteParts {
  ContentStore& store;
  IngestStore& ingests;
  ManifestIndex& index;
  LayerSupply& layers;
  PluginMetrics& metrics;
  /// For what containerd does inside its database transactions, which must not queue behind
  base::ThreadPool& calls;
  /// this: data, hashing, syncing.
  base::ThreadPool& bulk;
};

/// One Write stream: what containerd's content server does with its messages, and the interception
/// of layers in the second STAT. Free of gRPC.
///
/// Messages are handled one at a time: the next only after the answer to the last. Handle() never
/// blocks. Cancel() is thread-safe. Held by whoever works for it.
class WriteSession : public std::enable_shared_from_this<WriteSession> {
 public:
  enum class Action { kStat, kWrite, kCommit };
  struct Request {
    Action action = Action::kStat;
    std::string ref;
    std::int64_t total = 0;
    std::string expected;
    std::int64_t offset = 0;
    std::string data;
  };
  struct Reply {
    Action action = Action::kStat;
    std::chrono::system_clock::time_point started_at;
    std::chrono::system_clock::time_point updated_at;
    std::int64_t offset = 0;
    std::int64_t total = 0;
    /// "" when it is not known yet.
    std::string digest;
    /// The stream is over.
    bool last = false;
  };
  /// Called once for each request, on any thread; an error ends the stream.
  using Done = std::function<void(absl::StatusOr<Reply>)>;

  explicit WriteSession(const WriteParts& parts);
  ~WriteSession();
  WriteSession(const WriteSession&) = delete;
  WriteSession& operator=(const WriteSession&) = delete;

  void Handle(Request request, Done done);

  /// The client is gone: whatever is under way is answered soon.
  void Cancel();

  /// Gives the ref up; files stay for a later stream. Between requests, and blocks on the disk.
  void Close();

 private:
  [[nodiscard]] bool IsBulk(const Request& request) const;
  void Process();
  absl::Status Open();
  absl::Status CheckExpected();
  void Answer(absl::StatusOr<Reply> reply);
  [[nodiscard]] Reply MakeReply() const;
  [[nodiscard]] std::int64_t FullSize() const;

  void Stat();
  absl::Status Settle();
  [[nodiscard]] bool ShouldIntercept() const;
  void Intercept();
  void OnOutcome(const LayerSupply::Outcome& outcome);
  void Adopt(const LayerSupply::Outcome& outcome);
  void EndWait(LayerSupply::Origin origin, Fallback reason);

  absl::Status Write();
  absl::Status Commit();
  void LookForManifest();

  const WriteParts parts_;
  std::atomic<bool> cancelled_ = false;

  // Of the request at hand.
  Request request_;
  Done done_;

  std::unique_ptr<Ingest> ingest_;
  std::optional<ContentRef> content_;
  // As this stream was told; answers repeat it and COMMIT checks it.
  std::int64_t total_ = 0;
  std::string expected_;
  int stats_ = 0;
  bool written_ = false;
  bool closed_ = false;
  // Set when the stream began with a STAT.
  std::optional<Reply> first_stat_;
  std::chrono::steady_clock::time_point waiting_since_;
  // Of a small blob that turned out to be a manifest.
  std::optional<std::vector<ManifestLayer>> manifest_;
  bool looked_for_manifest_ = false;

  absl::Mutex mutex_;
  std::shared_ptr<LayerSupply::Ticket> ticket_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eagle::plugin
