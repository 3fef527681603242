#include "plugin/content_messages.h"

#include <utility>

namespace eagle::plugin {
namespace {

namespace api = containerd::services::content::v1;

WriteSession::Action ToAction(api::WriteAction action) {
  switch (action) {
    case api::WriteAction::WRITE:
      return WriteSession::Action::kWrite;
    case api::WriteAction::COMMIT:
      return WriteSession::Action::kCommit;
    default:
      return WriteSession::Action::kStat;
  }
}

api::WriteAction FromAction(WriteSession::Action action) {
  switch (action) {
    case WriteSession::Action::kWrite:
      return api::WriteAction::WRITE;
    case WriteSession::Action::kCommit:
      return api::WriteAction::COMMIT;
    case WriteSession::Action::kStat:
      return api::WriteAction::STAT;
  }
  return api::WriteAction::STAT;
}

}  // namespace

void FillTime(std::chrono::system_clock::time_point time, google::protobuf::Timestamp* out) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  out->set_seconds(seconds.count());
  out->set_nanos(static_cast<std::int32_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count()));
}

void FillInfo(const BlobInfo& info, api::Info* out) {
  out->set_digest(info.name.str());
  out->set_size(info.size_bytes);
  FillTime(info.created_at, out->mutable_created_at());
  FillTime(info.updated_at, out->mutable_updated_at());
}

void FillStatus(const IngestStatus& status, api::Status* out) {
  out->set_ref(status.ref);
  out->set_offset(status.offset);
  out->set_total(status.total);
  FillTime(status.started_at, out->mutable_started_at());
  FillTime(status.updated_at, out->mutable_updated_at());
}

void FillReply(const WriteSession::Reply& reply, api::WriteContentResponse* out) {
  out->Clear();
  out->set_action(FromAction(reply.action));
  FillTime(reply.started_at, out->mutable_started_at());
  FillTime(reply.updated_at, out->mutable_updated_at());
  out->set_offset(reply.offset);
  out->set_total(reply.total);
  out->set_digest(reply.digest);
}

WriteSession::Request TakeRequest(api::WriteContentRequest* message) {
  return {.action = ToAction(message->action()),
          .ref = message->ref(),
          .total = message->total(),
          .expected = message->expected(),
          .offset = message->offset(),
          .data = std::move(*message->mutable_data())};
}

// As in containerd, only the first part of a path counts for fields that are no maps.
Filter::Fields FieldsOf(const BlobInfo& info) {
  return [&info](std::span<const std::string> path) -> std::optional<std::string> {
    if (path[0] == "digest") return info.name.str();
    return std::nullopt;
  };
}

Filter::Fields FieldsOf(const IngestStatus& status) {
  return [&status](std::span<const std::string> path) -> std::optional<std::string> {
    if (path[0] == "ref") return status.ref;
    return std::nullopt;
  };
}

}  // namespace eagle::plugin
