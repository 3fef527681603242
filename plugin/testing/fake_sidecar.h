#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "api/node/node.grpc.pb.h"
#include "lib/base/digest.h"
#include "lib/rpc/server.h"

namespace eagle::plugin::testing {

/// A sidecar that does as the test says. Its cache is a real folder.
class FakeSidecar final : public eagle::node::v1::Node::Service {
 public:
  /// One Fetch call, for the test to play. Its methods are thread-safe.
  class Transfer {
   public:
    Transfer(grpc::ServerContext* context, grpc::ServerWriter<eagle::node::v1::FetchEvent>* writer)
        : context_(context), writer_(writer) {}

    /// Goes to the client at once.
    void Progress(std::int64_t done, std::int64_t contiguous);
    void AtOrigin(std::int64_t bytes);
    void Done(const std::string& file_name, std::int64_t peers, std::int64_t seeders);
    void Fail(eagle::node::v1::Failed::Reason reason);
    [[nodiscard]] bool Cancelled() const { return context_->IsCancelled(); }
    /// Until the client has let go; false when that takes too long.
    [[nodiscard]] bool AwaitCancelled() const;

   private:
    void Send(const eagle::node::v1::FetchEvent& event);
    grpc::ServerContext* context_;
    grpc::ServerWriter<eagle::node::v1::FetchEvent>* writer_;
  };
  using Play = std::function<void(const eagle::node::v1::Layer&, Transfer&)>;

  FakeSidecar(const std::string& address, std::string cache_dir);
  ~FakeSidecar() override;

  /// What Fetch calls do from now on; the default is to say Done if the file is there.
  void SetPlay(Play play);
  /// Writes a finished layer to the cache.
  void Store(const base::Digest& digest, const std::string& content);
  [[nodiscard]] std::string PathOf(const base::Digest& digest) const;

  [[nodiscard]] int fetches(const base::Digest& digest) const;
  [[nodiscard]] std::vector<eagle::node::v1::Layer> fetched() const;
  [[nodiscard]] std::vector<std::string> prefetched() const;
  [[nodiscard]] std::vector<std::string> discarded() const;

  grpc::Status Fetch(grpc::ServerContext* context, const eagle::node::v1::FetchRequest* request,
                     grpc::ServerWriter<eagle::node::v1::FetchEvent>* writer) override;
  grpc::Status Prefetch(grpc::ServerContext* context,
                        const eagle::node::v1::PrefetchRequest* request,
                        eagle::node::v1::PrefetchReply* reply) override;
  grpc::Status Discard(grpc::ServerContext* context, const eagle::node::v1::DiscardRequest* request,
                       eagle::node::v1::DiscardReply* reply) override;

 private:
  const std::string cache_dir_;
  mutable absl::Mutex mutex_;
  Play play_ ABSL_GUARDED_BY(mutex_);
  std::vector<eagle::node::v1::Layer> fetched_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> prefetched_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> discarded_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace eagle::plugin::testing
