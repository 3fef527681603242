#include "plugin/write_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/observe/log.h"

namespace eagle::plugin {

WriteSession::WriteSession(const WriteParts& parts) : parts_(parts) {
  parts_.metrics.StreamOpened();
}

WriteSession::~WriteSession() {
  if (!closed_) parts_.metrics.StreamClosed();
}

void WriteSession::Handle(Request request, Done done) {
  request_ = std::move(request);
  done_ = std::move(done);
  base::ThreadPool& pool = IsBulk(request_) ? parts_.bulk : parts_.calls;
  pool.Post([self = shared_from_this()] { self->Process(); });
}

bool WriteSession::IsBulk(const Request& request) const {
  if (!request.data.empty()) return true;
  if (ingest_ == nullptr) return false;
  switch (request.action) {
    case Action::kStat:
      return stats_ > 0 && !ingest_->settled() && ingest_->offset() > 0;
    case Action::kWrite:
      return true;
    case Action::kCommit:
      return !ingest_->settled();
  }
  return true;
}

void WriteSession::Cancel() {
  cancelled_ = true;
  std::shared_ptr<LayerSupply::Ticket> ticket;
  {
    absl::MutexLock lock(&mutex_);
    ticket = ticket_;
  }
  if (ticket != nullptr) ticket->Cancel();
}

void WriteSession::Close() {
  std::shared_ptr<LayerSupply::Ticket> ticket;
  {
    absl::MutexLock lock(&mutex_);
    ticket = std::exchange(ticket_, nullptr);
  }
  ingest_.reset();
  // Here and not in the destructor, which a pool may run after the client has seen the end.
  if (!std::exchange(closed_, true)) parts_.metrics.StreamClosed();
  parts_.metrics.CountIngests(parts_.ingests.count());
}

void WriteSession::Process() {
  if (ingest_ == nullptr) {
    if (absl::Status status = Open(); !status.ok()) return Answer(status);
  }
  if (absl::Status status = CheckExpected(); !status.ok()) return Answer(status);
  if (request_.total > 0) total_ = request_.total;
  if (request_.action == Action::kStat) return Stat();

  absl::Status status = Write();
  if (status.ok() && request_.action == Action::kCommit) status = Commit();
  if (!status.ok()) return Answer(status);
  Reply reply = MakeReply();
  reply.last = request_.action == Action::kCommit;
  Answer(std::move(reply));
}

absl::Status WriteSession::Open() {
  if (request_.ref.empty()) {
    return absl::InvalidArgumentError("first message must have a reference");
  }
  EAGLE_ASSIGN_OR_RETURN(
      ingest_, parts_.ingests.OpenIngest(request_.ref, request_.total, request_.expected));
  parts_.metrics.CountIngests(parts_.ingests.count());
  content_ = ParseContentRef(request_.ref);
  return absl::OkStatus();
}

absl::Status WriteSession::CheckExpected() {
  if (request_.expected.empty()) return absl::OkStatus();
  expected_ = request_.expected;
  // A commit looks at its own bytes first: to ALREADY_EXISTS containerd would put the blob that it
  // expected down under the digest of what was written, which nobody has.
  if (request_.action == Action::kCommit) return absl::OkStatus();
  const auto name = BlobName::Parse(expected_);
  // What is no digest is no blob: the commit says so.
  if (!name.ok() || !parts_.store.Info(*name).ok()) return absl::OkStatus();
  if (absl::Status status = ingest_->Remove(); !status.ok()) {
    observe::Warn("abort_failed", "ref", ingest_->ref(), "error", base::Message(status));
  }
  return absl::AlreadyExistsError(fmt::format("blob with expected digest {} exists", expected_));
}

std::int64_t WriteSession::FullSize() const {
  return total_ > 0 ? total_ : ingest_->total();
}

void WriteSession::Answer(absl::StatusOr<Reply> reply) {
  request_ = {};
  // The next request may come in before the call returns.
  std::exchange(done_, nullptr)(std::move(reply));
}

WriteSession::Reply WriteSession::MakeReply() const {
  const auto digest = ingest_->digest();
  return {.action = request_.action,
          .started_at = ingest_->started_at(),
          .updated_at = ingest_->updated_at(),
          .offset = ingest_->offset(),
          .total = total_,
          .digest = digest ? digest->str() : ""};
}

void WriteSession::Stat() {
  // The first one may run inside containerd's database transaction: what an earlier stream left is
  // hashed in the second.
  if (++stats_ > 1) {
    if (absl::Status status = Settle(); !status.ok()) return Answer(status);
  } else if (!written_) {
    first_stat_ = MakeReply();
  }
  if (ShouldIntercept()) return Intercept();
  Answer(MakeReply());
}

absl::Status WriteSession::Settle() {
  if (ingest_->offset() == 0) return absl::OkStatus();
  EAGLE_RETURN_IF_ERROR(ingest_->HashExisting(cancelled_));
  if (ingest_->offset() != FullSize()) return absl::OkStatus();
  return ingest_->Sync();
}

bool WriteSession::ShouldIntercept() const {
  return stats_ == 2 && first_stat_.has_value() && !written_ && total_ > 0 &&
         ingest_->offset() == 0 && content_ && content_->kind == ContentRef::Kind::kLayer;
}

void WriteSession::Intercept() {
  waiting_since_ = std::chrono::steady_clock::now();
  parts_.metrics.LayerStartedWaiting();
  std::shared_ptr<LayerSupply::Ticket> ticket =
      parts_.layers.Get({.ref = *content_, .size_bytes = total_, .live = ingest_->live()},
                        [self = shared_from_this()](const LayerSupply::Outcome& outcome) {
                          self->OnOutcome(outcome);
                        });
  {
    absl::MutexLock lock(&mutex_);
    ticket_ = ticket;
  }
  // Cancel() may have come before there was a ticket.
  if (cancelled_) ticket->Cancel();
}

void WriteSession::OnOutcome(const LayerSupply::Outcome& outcome) {
  if (outcome.file == nullptr) return EndWait(LayerSupply::Origin::kNone, outcome.reason);
  parts_.bulk.Post([self = shared_from_this(), outcome] { self->Adopt(outcome); });
}

void WriteSession::Adopt(const LayerSupply::Outcome& outcome) {
  if (cancelled_) return EndWait(LayerSupply::Origin::kNone, Fallback::kCancelled);
  const auto kind = ingest_->Adopt(*outcome.file, cancelled_);
  if (!kind.ok()) {
    observe::Warn("layer_not_linked", "layer", outcome.file->digest.str(), "error",
                  base::Message(kind.status()));
    return EndWait(LayerSupply::Origin::kNone, Fallback::kHandOver);
  }
  parts_.metrics.LayerLinked(*kind);
  if (*kind != AdoptKind::kLink) {
    observe::Warn("layer_not_shared", "layer", outcome.file->digest.str(), "kind",
                  *kind == AdoptKind::kReflink ? "reflink" : "copy", "advice",
                  "put cache_dir on the mount of root");
  }
  EndWait(outcome.origin, Fallback::kNone);
}

void WriteSession::EndWait(LayerSupply::Origin origin, Fallback reason) {
  ingest_->live()->store(0);
  const auto waited = std::chrono::steady_clock::now() - waiting_since_;
  parts_.metrics.LayerEnded(origin, reason, waited);
  observe::Debug("layer_answered", "ref", ingest_->ref(), "reason", FallbackName(reason),
                 "waited_ms",
                 std::chrono::duration_cast<std::chrono::milliseconds>(waited).count());
  if (cancelled_) return Answer(absl::CancelledError("the stream was cancelled"));
  // Whatever went wrong, containerd sees what it saw before and turns to the registry.
  if (origin == LayerSupply::Origin::kNone) return Answer(*first_stat_);
  Answer(MakeReply());
}

absl::Status WriteSession::Write() {
  const std::int64_t offset = ingest_->offset();
  // Below zero is nowhere in particular, as in containerd's server.
  if (request_.offset > 0 && request_.offset != offset) {
    return absl::OutOfRangeError(
        fmt::format("write @{} must occur at current offset {}", request_.offset, offset));
  }
  // A COMMIT without data says offset 0 for a layer that came whole in the second STAT.
  const bool from_start =
      request_.offset == 0 && (request_.action == Action::kWrite || !request_.data.empty());
  if (from_start && offset > 0) EAGLE_RETURN_IF_ERROR(ingest_->Truncate());
  if (request_.action == Action::kWrite) written_ = true;
  if (from_start || !request_.data.empty()) looked_for_manifest_ = false;
  EAGLE_RETURN_IF_ERROR(ingest_->Append(request_.data));
  // Its answer has the digest, also of what an earlier stream wrote.
  if (request_.action == Action::kWrite) {
    EAGLE_RETURN_IF_ERROR(ingest_->HashExisting(cancelled_));
  }
  if (ingest_->offset() == FullSize() && !request_.data.empty()) {
    // Now, so that COMMIT has only to rename.
    EAGLE_RETURN_IF_ERROR(ingest_->Sync());
    LookForManifest();
  }
  return absl::OkStatus();
}

void WriteSession::LookForManifest() {
  if (std::exchange(looked_for_manifest_, true)) return;
  manifest_.reset();
  if (content_ && content_->kind == ContentRef::Kind::kLayer) return;
  if (const auto content = ingest_->Content(kMaxManifestBytes)) {
    manifest_ = ParseManifestLayers(*content);
  }
}

absl::Status WriteSession::Commit() {
  LookForManifest();
  const absl::Status status = ingest_->Commit(total_, expected_);
  if (manifest_ && (status.ok() || absl::IsAlreadyExists(status))) {
    parts_.index.Learn(*ingest_->digest(), content_ ? content_->containerd_namespace : "",
                       *std::move(manifest_));
  }
  return status;
}

}  // namespace eagle::plugin
