#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "api/content/content.grpc.pb.h"
#include "api/leases/leases.grpc.pb.h"
#include "e2e/differential/generator.h"
#include "e2e/differential/operation.h"

namespace eagle::differential {

/// What a call came to. Two servers are compared by `code`, `result` and `digest`.
struct Outcome {
  grpc::StatusCode code = grpc::StatusCode::OK;
  /// Everything that was answered but times and messages, in one order.
  std::string result{};
  /// Of a Write reply.
  std::string digest{};
  std::string message{};
  /// Of a message that may carry data: where it said that belongs, and how much there was.
  bool sent_data = false;
  std::int64_t offset_sent = 0;
  std::size_t bytes_sent = 0;
  std::size_t bytes_read = 0;
  /// Where the stream stood before and after; a Status has the second only.
  std::int64_t offset_before = 0;
  std::int64_t offset_after = 0;
  /// Of a Status.
  std::int64_t total = 0;
  /// There was no open stream to send this to.
  bool skipped = false;
  /// What is wrong without a look at a second server: times that run backwards, a ref that stays
  /// locked. "" when nothing is.
  std::string implausible{};
};

/// Plays sequences on one server. Not thread-safe; blocks; every call has a deadline.
class Player {
 public:
  Player(const std::string& address, Surface surface);

  /// `prefix` and a number are the names of the sequence's namespaces. The sequence must live until
  /// the next.
  void Begin(const Sequence& sequence, const std::string& prefix);
  /// `may_be_locked`: UNAVAILABLE is an answer; else the ref of an ended stream is waited for.
  Outcome Play(const Operation& operation, bool may_be_locked);
  /// A stream of this player has the ref that is to be opened.
  [[nodiscard]] bool IsHeld(const Operation& operation) const;
  /// Closes the streams, and takes away what the sequence has made. What could not be taken away,
  /// or "".
  std::string Sweep();

 private:
  using Request = containerd::services::content::v1::WriteContentRequest;
  using Reply = containerd::services::content::v1::WriteContentResponse;
  enum class Message { kFirst, kLater };
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<Request, Reply>> rpc;
    int space = 0;
    std::string ref;
    /// It was told a digest: containerd may show it a blob of another namespace in place of an
    /// ingest, and make one of its own, later, when there is data.
    bool may_be_shared = false;
    std::int64_t offset = 0;
    std::optional<std::int64_t> started_at;
  };

  [[nodiscard]] std::unique_ptr<grpc::ClientContext> NewContext(int space) const;
  void Prepare(grpc::ClientContext* context, int space) const;

  Outcome Open(const Operation& operation, bool may_be_locked);
  Outcome Send(const Operation& operation, Call call, Message message);
  [[nodiscard]] Request MakeRequest(const Operation& operation, Call call,
                                    std::int64_t offset) const;
  static void CheckTimes(const Reply& reply, Stream* stream, Outcome* outcome);
  Outcome Close(int slot);
  Outcome Kill(const Operation& operation);
  Outcome KillInFlight(const Operation& operation);
  Outcome Finish(int slot);

  Outcome Ask(const Operation& operation);
  Outcome Info(const Operation& operation);
  Outcome Update(const Operation& operation);
  Outcome List(const Operation& operation);
  Outcome Delete(const Operation& operation);
  Outcome Read(const Operation& operation);
  Outcome Status(const Operation& operation);
  Outcome ListStatuses(const Operation& operation);
  Outcome Abort(const Operation& operation);
  Outcome Collect();

  const Surface surface_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<containerd::services::content::v1::Content::Stub> content_;
  const std::unique_ptr<containerd::services::leases::v1::Leases::Stub> leases_;

  const Sequence* sequence_ = nullptr;
  std::string prefix_;
  std::array<std::unique_ptr<Stream>, kStreams> streams_;
  int leases_made_ = 0;
};

}  // namespace eagle::differential
