// The calls of one message and its answer.
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <vector>

#include "e2e/differential/player.h"
#include "lib/base/digest.h"

namespace eagle::differential {
namespace {

namespace api = containerd::services::content::v1;
using google::protobuf::util::TimeUtil;

// The times of a file are those of the kernel's last tick, which may lie before what a clock has
// just said.
constexpr std::int64_t kClockTickNanoseconds = 20'000'000;

Outcome FromStatus(const grpc::Status& status) {
  return {.code = status.error_code(), .message = status.error_message()};
}

std::string DescribeLabels(const google::protobuf::Map<std::string, std::string>& labels) {
  std::vector<std::string> lines;
  for (const auto& [key, value] : labels) lines.push_back(fmt::format("{}={}", key, value));
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + ";";
  return text;
}

std::string DescribeInfo(const api::Info& info, Outcome* outcome) {
  const auto created = TimeUtil::TimestampToNanoseconds(info.created_at());
  const auto updated = TimeUtil::TimestampToNanoseconds(info.updated_at());
  // 1.6 leaves it out of lists: Go's time zero.
  const bool told = info.updated_at().seconds() >= 0;
  if (created <= 0 || (told && updated + kClockTickNanoseconds < created)) {
    outcome->implausible = fmt::format("updated at {}, created at {}", updated, created);
  }
  return fmt::format("{} size={} labels={}\n", info.digest(), info.size(),
                     DescribeLabels(info.labels()));
}

std::string DescribeStatus(const api::Status& status, Outcome* outcome) {
  const auto started = TimeUtil::TimestampToNanoseconds(status.started_at());
  const auto updated = TimeUtil::TimestampToNanoseconds(status.updated_at());
  if (started <= 0 || updated < started) outcome->implausible = "updated before it was started";
  return fmt::format("{} offset={} total={} expected={}\n", status.ref(), status.offset(),
                     status.total(), status.expected());
}

// Lists have no order of their own.
std::string Sorted(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

}  // namespace

Outcome Player::Ask(const Operation& operation) {
  switch (operation.call) {
    case Call::kInfo:
      return Info(operation);
    case Call::kUpdate:
      return Update(operation);
    case Call::kList:
      return List(operation);
    case Call::kDelete:
      return Delete(operation);
    case Call::kRead:
      return Read(operation);
    case Call::kStatus:
      return Status(operation);
    case Call::kListStatuses:
      return ListStatuses(operation);
    case Call::kAbort:
      return Abort(operation);
    default:
      return Collect();
  }
}

Outcome Player::Info(const Operation& operation) {
  api::InfoRequest request;
  request.set_digest(operation.digest);
  api::InfoResponse response;
  Outcome outcome =
      FromStatus(content_->Info(NewContext(operation.space).get(), request, &response));
  if (outcome.code == grpc::StatusCode::OK)
    outcome.result = DescribeInfo(response.info(), &outcome);
  return outcome;
}

Outcome Player::Update(const Operation& operation) {
  api::UpdateRequest request;
  request.mutable_info()->set_digest(operation.digest);
  request.mutable_info()->mutable_labels()->insert(operation.labels.begin(),
                                                   operation.labels.end());
  for (const std::string& path : operation.paths) request.mutable_update_mask()->add_paths(path);
  api::UpdateResponse response;
  const std::int64_t before = TimeUtil::TimestampToNanoseconds(TimeUtil::GetCurrentTime());
  Outcome outcome =
      FromStatus(content_->Update(NewContext(operation.space).get(), request, &response));
  if (outcome.code != grpc::StatusCode::OK) return outcome;
  outcome.result = DescribeInfo(response.info(), &outcome);
  if (TimeUtil::TimestampToNanoseconds(response.info().updated_at()) < before) {
    outcome.implausible = "updated_at is before the update";
  }
  return outcome;
}

Outcome Player::List(const Operation& operation) {
  api::ListContentRequest request;
  request.mutable_filters()->Add(operation.filters.begin(), operation.filters.end());
  const auto context = NewContext(operation.space);
  const auto stream = content_->List(context.get(), request);
  std::vector<std::string> lines;
  Outcome found;
  api::ListContentResponse batch;
  while (stream->Read(&batch)) {
    for (const auto& info : batch.info()) lines.push_back(DescribeInfo(info, &found));
  }
  Outcome outcome = FromStatus(stream->Finish());
  outcome.result = Sorted(std::move(lines));
  outcome.implausible = found.implausible;
  return outcome;
}

Outcome Player::Delete(const Operation& operation) {
  api::DeleteContentRequest request;
  request.set_digest(operation.digest);
  google::protobuf::Empty response;
  return FromStatus(content_->Delete(NewContext(operation.space).get(), request, &response));
}

Outcome Player::Read(const Operation& operation) {
  api::ReadContentRequest request;
  request.set_digest(operation.digest);
  request.set_offset(operation.offset);
  request.set_size(operation.size);
  const auto context = NewContext(operation.space);
  const auto stream = content_->Read(context.get(), request);
  std::string data;
  std::int64_t first = 0;
  api::ReadContentResponse chunk;
  Outcome outcome;
  while (stream->Read(&chunk)) {
    if (data.empty()) first = chunk.offset();
    if (chunk.offset() != first + static_cast<std::int64_t>(data.size())) {
      outcome.implausible = "a message does not go on where the last one ended";
    }
    data += chunk.data();
  }
  const grpc::Status status = stream->Finish();
  outcome.code = status.error_code();
  outcome.message = status.error_message();
  outcome.bytes_read = data.size();
  outcome.result =
      fmt::format("first={} bytes={} {}", first, data.size(), base::Digest::Of(data).str());
  return outcome;
}

Outcome Player::Status(const Operation& operation) {
  api::StatusRequest request;
  request.set_ref(operation.ref);
  api::StatusResponse response;
  Outcome outcome =
      FromStatus(content_->Status(NewContext(operation.space).get(), request, &response));
  if (outcome.code != grpc::StatusCode::OK) return outcome;
  outcome.result = DescribeStatus(response.status(), &outcome);
  outcome.offset_after = response.status().offset();
  outcome.total = response.status().total();
  return outcome;
}

Outcome Player::ListStatuses(const Operation& operation) {
  api::ListStatusesRequest request;
  request.mutable_filters()->Add(operation.filters.begin(), operation.filters.end());
  api::ListStatusesResponse response;
  Outcome outcome =
      FromStatus(content_->ListStatuses(NewContext(operation.space).get(), request, &response));
  std::vector<std::string> lines;
  for (const auto& status : response.statuses()) lines.push_back(DescribeStatus(status, &outcome));
  outcome.result = Sorted(std::move(lines));
  return outcome;
}

Outcome Player::Abort(const Operation& operation) {
  api::AbortRequest request;
  request.set_ref(operation.ref);
  google::protobuf::Empty response;
  return FromStatus(content_->Abort(NewContext(operation.space).get(), request, &response));
}

// containerd collects garbage before a lease is reported as deleted, if it is asked to.
Outcome Player::Collect() {
  namespace leases = containerd::services::leases::v1;
  const std::string id = fmt::format("collect-{}", ++leases_made_);
  leases::CreateRequest create;
  create.set_id(id);
  leases::CreateResponse created;
  const grpc::Status made = leases_->Create(NewContext(0).get(), create, &created);
  if (!made.ok()) return FromStatus(made);
  leases::DeleteRequest remove;
  remove.set_id(id);
  remove.set_sync(true);
  google::protobuf::Empty response;
  return FromStatus(leases_->Delete(NewContext(0).get(), remove, &response));
}

}  // namespace eagle::differential
