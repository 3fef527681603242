#include "plugin/testing/content_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "lib/rpc/channel.h"

namespace eagle::plugin::testing {
namespace {

namespace api = containerd::services::content::v1;

// Long enough for any machine; a hang becomes a failure.
void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  context->set_wait_for_ready(true);
}

}  // namespace

WriteCall::WriteCall(api::Content::Stub& stub, std::string ref) : ref_(std::move(ref)) {
  SetDeadline(&context_);
  stream_ = stub.Write(&context_);
}

WriteCall::~WriteCall() {
  if (status_) return;
  Cancel();
  stream_->Finish();
}

std::optional<WriteCall::Reply> WriteCall::Stat(std::int64_t total, const std::string& expected) {
  Request request;
  request.set_action(api::WriteAction::STAT);
  request.set_total(total);
  request.set_expected(expected);
  return Send(std::move(request));
}

std::optional<WriteCall::Reply> WriteCall::Write(std::int64_t offset, const std::string& data,
                                                 std::int64_t total) {
  Request request;
  request.set_action(api::WriteAction::WRITE);
  request.set_offset(offset);
  request.set_data(data);
  request.set_total(total);
  return Send(std::move(request));
}

std::optional<WriteCall::Reply> WriteCall::Commit(std::int64_t offset, std::int64_t total,
                                                  const std::string& expected) {
  Request request;
  request.set_action(api::WriteAction::COMMIT);
  request.set_offset(offset);
  request.set_total(total);
  request.set_expected(expected);
  return Send(std::move(request));
}

std::optional<WriteCall::Reply> WriteCall::Send(Request request) {
  if (std::exchange(first_, false)) request.set_ref(ref_);
  stream_->Write(request);
  return Receive();
}

void WriteCall::SendStat() {
  Request request;
  if (std::exchange(first_, false)) request.set_ref(ref_);
  stream_->Write(request);
}

void WriteCall::SendWrite(std::int64_t offset, const std::string& data) {
  Request request;
  request.set_action(api::WriteAction::WRITE);
  request.set_offset(offset);
  request.set_data(data);
  stream_->Write(request);
}

std::optional<WriteCall::Reply> WriteCall::Receive() {
  Reply reply;
  if (!stream_->Read(&reply)) return std::nullopt;
  return reply;
}

grpc::Status WriteCall::End() {
  if (!status_) {
    stream_->WritesDone();
    Reply ignored;
    while (stream_->Read(&ignored)) {
    }
    status_ = stream_->Finish();
  }
  return *status_;
}

ContentClient::ContentClient(const std::string& address)
    : stub_(api::Content::NewStub(rpc::MakeChannel(address))) {}

grpc::Status ContentClient::Put(const std::string& ref, const std::string& content) {
  const auto size = static_cast<std::int64_t>(content.size());
  constexpr std::size_t kStep = 1 << 20;
  auto write = OpenWrite(ref);
  bool good = write->Stat(size).has_value();
  for (std::size_t at = 0; good && at < content.size(); at += kStep) {
    good = write->Write(static_cast<std::int64_t>(at), content.substr(at, kStep)).has_value();
  }
  if (good) write->Commit(size, size, base::Digest::Of(content).str());
  return write->End();
}

grpc::Status ContentClient::GetInfo(const std::string& digest, Info* info) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::InfoRequest request;
  request.set_digest(digest);
  api::InfoResponse response;
  const grpc::Status status = stub_->Info(&context, request, &response);
  *info = response.info();
  return status;
}

bool ContentClient::Has(const base::Digest& digest) {
  Info info;
  return GetInfo(digest.str(), &info).ok();
}

std::string ContentClient::Read(const std::string& digest, std::int64_t offset, std::int64_t size,
                                grpc::Status* status) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::ReadContentRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  request.set_size(size);
  const auto stream = stub_->Read(&context, request);
  std::string out;
  api::ReadContentResponse chunk;
  while (stream->Read(&chunk)) {
    EXPECT_EQ(chunk.offset(), static_cast<std::int64_t>(out.size()));
    out += chunk.data();
  }
  *status = stream->Finish();
  return out;
}

std::vector<ContentClient::Info> ContentClient::List(const std::vector<std::string>& filters,
                                                     grpc::Status* status) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::ListContentRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  const auto stream = stub_->List(&context, request);
  std::vector<Info> out;
  api::ListContentResponse batch;
  while (stream->Read(&batch)) {
    EXPECT_LE(batch.info_size(), 100);
    out.insert(out.end(), batch.info().begin(), batch.info().end());
  }
  *status = stream->Finish();
  return out;
}

grpc::Status ContentClient::GetStatus(const std::string& ref, Status* out) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::StatusRequest request;
  request.set_ref(ref);
  api::StatusResponse response;
  const grpc::Status status = stub_->Status(&context, request, &response);
  *out = response.status();
  return status;
}

std::vector<ContentClient::Status> ContentClient::ListStatuses(
    const std::vector<std::string>& filters, grpc::Status* status) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::ListStatusesRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  api::ListStatusesResponse response;
  *status = stub_->ListStatuses(&context, request, &response);
  return {response.statuses().begin(), response.statuses().end()};
}

grpc::Status ContentClient::Delete(const std::string& digest) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::DeleteContentRequest request;
  request.set_digest(digest);
  google::protobuf::Empty response;
  return stub_->Delete(&context, request, &response);
}

grpc::Status ContentClient::Abort(const std::string& ref) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::AbortRequest request;
  request.set_ref(ref);
  google::protobuf::Empty response;
  return stub_->Abort(&context, request, &response);
}

grpc::Status ContentClient::Update(const std::string& digest) {
  grpc::ClientContext context;
  SetDeadline(&context);
  api::UpdateRequest request;
  request.mutable_info()->set_digest(digest);
  api::UpdateResponse response;
  return stub_->Update(&context, request, &response);
}

}  // namespace eagle::plugin::testing
