#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/content/content.grpc.pb.h"
#include "lib/base/digest.h"

namespace eagle::plugin::testing {

/// One Write stream, as containerd's client uses it: a message, its answer, the next message.
class WriteCall {
 public:
  using Request = containerd::services::content::v1::WriteContentRequest;
  using Reply = containerd::services::content::v1::WriteContentResponse;

  WriteCall(containerd::services::content::v1::Content::Stub& stub, std::string ref);
  ~WriteCall();

  /// nullopt when the stream has ended: End() says how.
  std::optional<Reply> Stat(std::int64_t total = 0, const std::string& expected = "");
  std::optional<Reply> Write(std::int64_t offset, const std::string& data, std::int64_t total = 0);
  std::optional<Reply> Commit(std::int64_t offset, std::int64_t total, const std::string& expected);
  std::optional<Reply> Send(Request request);

  /// Without waiting for the answer, which Receive() is.
  void SendStat();
  void SendWrite(std::int64_t offset, const std::string& data);
  std::optional<Reply> Receive();

  /// Closes our side and waits for the other.
  grpc::Status End();
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Reply>> stream_;
  const std::string ref_;
  bool first_ = true;
  std::optional<grpc::Status> status_;
};

/// The content service as its callers see it.
class ContentClient {
 public:
  using Info = containerd::services::content::v1::Info;
  using Status = containerd::services::content::v1::Status;

  explicit ContentClient(const std::string& address);

  [[nodiscard]] containerd::services::content::v1::Content::Stub& stub() { return *stub_; }
  [[nodiscard]] std::unique_ptr<WriteCall> OpenWrite(const std::string& ref) {
    return std::make_unique<WriteCall>(*stub_, ref);
  }
  /// A whole blob the way containerd writes a manifest.
  grpc::Status Put(const std::string& ref, const std::string& content);

  grpc::Status GetInfo(const std::string& digest, Info* info);
  [[nodiscard]] bool Has(const base::Digest& digest);
  std::string Read(const std::string& digest, std::int64_t offset, std::int64_t size,
                   grpc::Status* status);
  std::vector<Info> List(const std::vector<std::string>& filters, grpc::Status* status);
  grpc::Status GetStatus(const std::string& ref, Status* out);
  std::vector<Status> ListStatuses(const std::vector<std::string>& filters, grpc::Status* status);
  grpc::Status Delete(const std::string& digest);
  grpc::Status Abort(const std::string& ref);
  grpc::Status Update(const std::string& digest);

 private:
  std::unique_ptr<containerd::services::content::v1::Content::Stub> stub_;
};

}  // namespace eagle::plugin::testing
