#include "plugin/content_streams.h"

#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/observe/log.h"
#include "lib/rpc/status.h"
#include "plugin/content_messages.h"
#include "plugin/filter.h"
#include "plugin/write_session.h"

namespace eagle::plugin {
namespace {

namespace api = containerd::services::content::v1;

constexpr int kListBatch = 100;
// containerd reads 32 KiB at a time. For whoever reads a whole blob larger messages are not faster,
// and each reader that is slow holds one and its encoding in memory.
constexpr std::int64_t kReadChunkBytes = 256 << 10;

class ListStream final : public grpc::ServerWriteReactor<api::ListContentResponse> {
 public:
  ListStream(const ContentParts& parts, const api::ListContentRequest& request) : parts_(parts) {
    parts_.calls.Post(
        [this, filters = std::vector<std::string>(request.filters().begin(),
                                                  request.filters().end())] { Collect(filters); });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the client is gone"));
    Next();
  }
  void OnDone() override { delete this; }

 private:
  // At once, so that a slow client keeps no folder open.
  void Collect(const std::vector<std::string>& filters) {
    const auto filter = Filter::Parse(filters);
    if (!filter.ok()) return End(filter.status());
    const absl::Status status = parts_.store.Walk([&](const BlobInfo& info) {
      if (!filter->Matches(FieldsOf(info))) return true;
      if (batches_.empty() || batches_.back().info_size() == kListBatch) batches_.emplace_back();
      FillInfo(info, batches_.back().add_info());
      return true;
    });
    if (!status.ok()) return End(status);
    Next();
  }

  void Next() {
    if (next_ == batches_.size()) return End(absl::OkStatus());
    StartWrite(&batches_[next_++]);
  }

  void End(const absl::Status& status) {
    parts_.metrics.RpcEnded(Method::kList, static_cast<int>(status.code()));
    Finish(rpc::ToGrpc(status));
  }

  const ContentParts& parts_;
  std::vector<api::ListContentResponse> batches_;
  std::size_t next_ = 0;
};

// containerd unpacks a layer with one call for every 32 KiB: what is open and in the page cache is
// answered right here, in one message that also ends the call.
class ReadStream final : public grpc::ServerWriteReactor<api::ReadContentResponse> {
 public:
  ReadStream(const ContentParts& parts, const api::ReadContentRequest& request)
      : parts_(parts),
        start_(std::max<std::int64_t>(request.offset(), 0)),
        at_(start_),
        size_(request.size()) {
    Open(BlobName::Parse(request.digest()));
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the client is gone"));
    Next();
  }
  void OnDone() override { delete this; }

 private:
  void Open(absl::StatusOr<BlobName> parsed) {
    if (!parsed.ok()) return End(parsed.status());
    blob_ = parts_.store.FindOpen(*parsed);
    if (blob_ != nullptr) return Begin();
    parts_.reads.Post([this, name = *std::move(parsed)] {
      auto blob = parts_.store.OpenForRead(name);
      if (!blob.ok()) return End(blob.status());
      blob_ = *std::move(blob);
      Begin();
    });
  }

  void Begin() {
    if (at_ > blob_->size_bytes) {
      return End(absl::OutOfRangeError(
          fmt::format("read past object length {} bytes", blob_->size_bytes)));
    }
    const std::int64_t rest = blob_->size_bytes - at_;
    left_ = size_ <= 0 ? rest : std::min(size_, rest);
    if (left_ == 0) return End(absl::OkStatus());
    Next();
  }

  void Next() {
    const auto want = static_cast<std::size_t>(std::min(left_, kReadChunkBytes));
    std::string* data = message_.mutable_data();
    data->resize(want);
    iovec target{data->data(), want};
    const ssize_t got = ::preadv2(blob_->fd.get(), &target, 1, at_, RWF_NOWAIT);
    if (got == static_cast<ssize_t>(want)) return Send();
    parts_.reads.Post([this, want] {
      auto read = base::ReadAt(blob_->fd.get(), at_, want);
      if (!read.ok()) return End(read.status());
      if (read->size() != want) return End(absl::DataLossError("the blob has become shorter"));
      *message_.mutable_data() = *std::move(read);
      Send();
    });
  }

  void Send() {
    const auto size = static_cast<std::int64_t>(message_.data().size());
    // From where the read began, as containerd's server counts.
    message_.set_offset(at_ - start_);
    at_ += size;
    left_ -= size;
    if (left_ > 0) return StartWrite(&message_);
    parts_.metrics.RpcEnded(Method::kRead, 0);
    StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
  }

  void End(const absl::Status& status) {
    parts_.metrics.RpcEnded(Method::kRead, static_cast<int>(status.code()));
    Finish(rpc::ToGrpc(status));
  }

  const ContentParts& parts_;
  std::shared_ptr<const OpenBlob> blob_;
  const std::int64_t start_;
  std::int64_t at_;
  const std::int64_t size_;
  std::int64_t left_ = 0;
  api::ReadContentResponse message_;
};

class WriteStream final
    : public grpc::ServerBidiReactor<api::WriteContentRequest, api::WriteContentResponse> {
 public:
  explicit WriteStream(const ContentParts& parts)
      : parts_(parts),
        session_(std::make_shared<WriteSession>(WriteParts{.store = parts.store,
                                                           .ingests = parts.ingests,
                                                           .index = parts.index,
                                                           .layers = parts.layers,
                                                           .metrics = parts.metrics,
                                                           .calls = parts.calls,
                                                           .bulk = parts.bulk})) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    // The end of the client's messages, or of the client.
    if (!ok) return End(cancelled_ ? absl::CancelledError("cancelled") : absl::OkStatus());
    session_->Handle(TakeRequest(&request_), [this](absl::StatusOr<WriteSession::Reply> reply) {
      OnAnswer(std::move(reply));
    });
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the client is gone"));
    StartRead(&request_);
  }
  void OnCancel() override {
    cancelled_ = true;
    session_->Cancel();
  }
  void OnDone() override { delete this; }

 private:
  void OnAnswer(absl::StatusOr<WriteSession::Reply> reply) {
    if (!reply.ok()) return End(reply.status());
    FillReply(*reply, &response_);
    if (!reply->last) return StartWrite(&response_);
    // The ref is free again before the client hears of the commit.
    session_->Close();
    parts_.metrics.RpcEnded(Method::kWrite, 0);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }

  void End(const absl::Status& status) {
    parts_.calls.Post([this, status] {
      session_->Close();
      if (!status.ok()) observe::Debug("write_failed", "error", base::Message(status));
      parts_.metrics.RpcEnded(Method::kWrite, static_cast<int>(status.code()));
      Finish(rpc::ToGrpc(status));
    });
  }

  const ContentParts& parts_;
  const std::shared_ptr<WriteSession> session_;
  std::atomic<bool> cancelled_ = false;
  api::WriteContentRequest request_;
  api::WriteContentResponse response_;
};

}  // namespace

grpc::ServerWriteReactor<api::ListContentResponse>* NewListStream(
    const ContentParts& parts, const api::ListContentRequest& request) {
  return new ListStream(parts, request);
}

grpc::ServerWriteReactor<api::ReadContentResponse>* NewReadStream(
    const ContentParts& parts, const api::ReadContentRequest& request) {
  return new ReadStream(parts, request);
}

grpc::ServerBidiReactor<api::WriteContentRequest, api::WriteContentResponse>* NewWriteStream(
    const ContentParts& parts) {
  return new WriteStream(parts);
}

}  // namespace eagle::plugin
