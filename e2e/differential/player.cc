#include "e2e/differential/player.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "lib/rpc/channel.h"

namespace eagle::differential {
namespace {

namespace api = containerd::services::content::v1;

// A hang becomes a failure.
constexpr std::chrono::seconds kDeadline{60};
// A ref whose stream has ended is free after this, on a very busy machine.
constexpr std::chrono::seconds kUnlockPatience{20};
constexpr std::chrono::milliseconds kMaxPause{100};
constexpr std::string_view kJunk = "junk";

std::string_view ActionName(api::WriteAction action) {
  switch (action) {
    case api::WriteAction::STAT:
      return "stat";
    case api::WriteAction::WRITE:
      return "write";
    default:
      return "commit";
  }
}

api::WriteAction ToAction(Call call) {
  if (call == Call::kWrite || call == Call::kKillInFlight) return api::WriteAction::WRITE;
  return call == Call::kCommit ? api::WriteAction::COMMIT : api::WriteAction::STAT;
}

std::int64_t Where(At at, std::int64_t offset) {
  switch (at) {
    case At::kCurrent:
      return offset;
    case At::kZero:
      return 0;
    case At::kLower:
      return std::max<std::int64_t>(offset - 1, 1);
    case At::kHigher:
      return offset + 1;
    case At::kNegative:
      return -1;
  }
  return offset;
}

}  // namespace

Player::Player(const std::string& address, Surface surface)
    : surface_(surface),
      channel_(rpc::MakeChannel(address)),
      content_(api::Content::NewStub(channel_)),
      leases_(containerd::services::leases::v1::Leases::NewStub(channel_)) {}

void Player::Begin(const Sequence& sequence, const std::string& prefix) {
  sequence_ = &sequence;
  prefix_ = prefix;
}

std::unique_ptr<grpc::ClientContext> Player::NewContext(int space) const {
  auto context = std::make_unique<grpc::ClientContext>();
  Prepare(context.get(), space);
  return context;
}

void Player::Prepare(grpc::ClientContext* context, int space) const {
  context->set_deadline(std::chrono::system_clock::now() + kDeadline);
  if (surface_ == Surface::kContainerd) {
    context->AddMetadata("containerd-namespace", fmt::format("{}-{}", prefix_, space));
  }
}

Outcome Player::Play(const Operation& operation, bool may_be_locked) {
  switch (operation.call) {
    case Call::kOpen:
      return Open(operation, may_be_locked);
    case Call::kStat:
    case Call::kWrite:
    case Call::kCommit:
      return Send(operation, operation.call, Message::kLater);
    case Call::kClose:
      return Close(operation.slot);
    case Call::kKill:
      return Kill(operation);
    case Call::kKillInFlight:
      return KillInFlight(operation);
    default:
      return Ask(operation);
  }
}

bool Player::IsHeld(const Operation& operation) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
    return stream != nullptr && stream->space == operation.space && stream->ref == operation.ref;
  });
}

// A stream that has ended gives up its ref soon, as its server hears of the end; containerd's
// clients try again too.
Outcome Player::Open(const Operation& operation, bool may_be_locked) {
  Close(operation.slot);
  const auto give_up = std::chrono::steady_clock::now() + kUnlockPatience;
  std::chrono::milliseconds pause{1};
  while (true) {
    auto& stream = streams_[static_cast<std::size_t>(operation.slot)];
    stream = std::make_unique<Stream>();
    stream->space = operation.space;
    stream->ref = operation.ref;
    stream->may_be_shared = !operation.expected.empty();
    Prepare(&stream->context, operation.space);
    stream->rpc = content_->Write(&stream->context);
    Outcome outcome = Send(operation, operation.first, Message::kFirst);
    if (outcome.code != grpc::StatusCode::UNAVAILABLE || may_be_locked) return outcome;
    if (std::chrono::steady_clock::now() > give_up) {
      outcome.implausible = "the ref stays locked though no stream has it";
      return outcome;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kMaxPause);
  }
}

Outcome Player::Send(const Operation& operation, Call call, Message message) {
  auto& stream = streams_[static_cast<std::size_t>(operation.slot)];
  if (stream == nullptr) return {.skipped = true};
  Request request = MakeRequest(operation, call, stream->offset);
  if (message == Message::kFirst) request.set_ref(operation.ref);
  Outcome outcome{.sent_data = call != Call::kStat,
                  .offset_sent = request.offset(),
                  .bytes_sent = request.data().size(),
                  .offset_before = stream->offset};
  Reply reply;
  stream->rpc->Write(request);
  if (!stream->rpc->Read(&reply)) {
    const Outcome end = Finish(operation.slot);
    outcome.code = end.code;
    outcome.message = end.message;
    return outcome;
  }
  stream->offset = reply.offset();
  outcome.offset_after = reply.offset();
  outcome.digest = reply.digest();
  outcome.result = fmt::format("action={} offset={}", ActionName(reply.action()), reply.offset());
  // Other answers repeat the last STAT's, if there was one.
  if (call == Call::kStat) {
    outcome.result += fmt::format(" total={}", reply.total());
    CheckTimes(reply, stream.get(), &outcome);
  }
  if (call == Call::kCommit) {
    const Outcome end = Finish(operation.slot);
    outcome.code = end.code;
    outcome.message = end.message;
  }
  return outcome;
}

Player::Request Player::MakeRequest(const Operation& operation, Call call,
                                    std::int64_t offset) const {
  Request request;
  request.set_action(ToAction(call));
  request.set_total(operation.total);
  request.set_expected(operation.expected);
  if (call == Call::kStat) return request;
  request.set_offset(Where(operation.at, offset));
  const std::string& content = sequence_->contents[static_cast<std::size_t>(operation.content)];
  const auto from = static_cast<std::size_t>(operation.at == At::kZero ? 0 : offset);
  if (from < content.size()) {
    request.set_data(content.substr(from, static_cast<std::size_t>(operation.bytes)));
  } else if (operation.bytes > 0 && call == Call::kCommit) {
    request.set_data(std::string(kJunk));
  }
  if (call == Call::kCommit) {
    request.mutable_labels()->insert(operation.labels.begin(), operation.labels.end());
  }
  return request;
}

void Player::CheckTimes(const Reply& reply, Stream* stream, Outcome* outcome) {
  using google::protobuf::util::TimeUtil;
  const auto started = TimeUtil::TimestampToNanoseconds(reply.started_at());
  const auto updated = TimeUtil::TimestampToNanoseconds(reply.updated_at());
  if (started <= 0 || updated < started) outcome->implausible = "updated before it was started";
  if (!stream->may_be_shared && stream->started_at.value_or(started) != started) {
    outcome->implausible = "started_at changes within one stream";
  }
  stream->started_at = started;
}

Outcome Player::Close(int slot) {
  auto& stream = streams_[static_cast<std::size_t>(slot)];
  if (stream == nullptr) return {.skipped = true};
  stream->rpc->WritesDone();
  return Finish(slot);
}

Outcome Player::Kill(const Operation& operation) {
  auto& stream = streams_[static_cast<std::size_t>(operation.slot)];
  if (stream == nullptr) return {.skipped = true};
  stream->context.TryCancel();
  return Finish(operation.slot);
}

// Whether the message arrived is anybody's guess. So the ref is opened again, and what is found is
// either of both; a write at zero then makes it one and the same everywhere.
Outcome Player::KillInFlight(const Operation& operation) {
  auto& stream = streams_[static_cast<std::size_t>(operation.slot)];
  if (stream == nullptr) return {.skipped = true};
  if (stream->may_be_shared) return Kill(operation);
  const Request request = MakeRequest(operation, Call::kWrite, stream->offset);
  const auto before = stream->offset;
  const auto after = before + static_cast<std::int64_t>(request.data().size());
  Operation again{
      .call = Call::kOpen, .space = stream->space, .slot = operation.slot, .ref = stream->ref};
  stream->rpc->Write(request);
  stream->context.TryCancel();
  Finish(operation.slot);

  const Outcome found = Open(again, /*may_be_locked=*/false);
  if (found.code != grpc::StatusCode::OK) return found;
  again.call = Call::kWrite;
  again.at = At::kZero;
  again.bytes = 1;
  Outcome outcome = Send(again, Call::kWrite, Message::kLater);
  // The ingest may have been aborted under its stream: then it began anew.
  if (found.offset_after != before && found.offset_after != after && found.offset_after != 0) {
    outcome.implausible =
        fmt::format("resumes at {}, neither {} nor {}", found.offset_after, before, after);
  }
  Close(operation.slot);
  return outcome;
}

Outcome Player::Finish(int slot) {
  auto& stream = streams_[static_cast<std::size_t>(slot)];
  Reply rest;
  while (stream->rpc->Read(&rest)) {
  }
  const grpc::Status status = stream->rpc->Finish();
  stream.reset();
  return {.code = status.error_code(), .message = status.error_message()};
}

std::string Player::Sweep() {
  for (int slot = 0; slot < kStreams; ++slot) Close(slot);
  std::string left;
  for (int space = 0; space < Spaces(surface_); ++space) {
    for (const std::string& ref : sequence_->refs) {
      Ask({.call = Call::kAbort, .space = space, .ref = ref});
    }
    auto context = NewContext(space);
    const auto stream = content_->List(context.get(), {});
    api::ListContentResponse batch;
    while (stream->Read(&batch)) {
      for (const auto& info : batch.info()) {
        Ask({.call = Call::kDelete, .space = space, .digest = info.digest()});
      }
    }
    stream->Finish();
    left += Ask({.call = Call::kList, .space = space}).result;
    left += Ask({.call = Call::kListStatuses, .space = space}).result;
  }
  if (surface_ == Surface::kContainerd) Ask({.call = Call::kCollect});
  return left;
}

}  // namespace eagle::differential
