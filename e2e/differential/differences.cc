#include "e2e/differential/differences.h"

#include <algorithm>

namespace eagle::differential {
namespace {

constexpr Difference kAnotherTotal{
    .name = "another_total",
    .reason =
        "The built-in store starts over at offset 0 on top of the old bytes: what the new "
        "ones do not cover stays in the file, and a commit without a size makes a blob of "
        "both under the digest of the new ones. Eagle starts over with an empty file."};

constexpr Difference kTruncationWithoutData{
    .name = "truncation_without_data",
    .reason =
        "containerd's proxy client keeps a truncation to itself until there is data to "
        "write, so no store behind it hears of one without data."};

constexpr Difference kCommitAtZero{
    .name = "commit_at_zero",
    .reason =
        "containerd commits a layer that was complete in the second STAT with offset 0 and "
        "no data; the built-in store's server would truncate it to nothing."};

constexpr Difference kAbortedUnderStream{
    .name = "aborted_under_a_stream",
    .reason =
        "The built-in store lets the error of rename(2) through as UNKNOWN; Eagle says "
        "FAILED_PRECONDITION and what to do.",
    .same_state = true};

constexpr Difference kFirstStatHashesNothing{
    .name = "first_stat_hashes_nothing",
    .reason =
        "Opening a resumed ingest, the built-in store hashes what is there, inside of "
        "containerd's transaction; Eagle leaves the digest out of that one answer and "
        "hashes in the second STAT.",
    .same_state = true};

constexpr Difference kCommitOfOtherBytes{
    .name = "commit_of_other_bytes",
    .reason =
        "A commit that expects a blob which is there while it wrote something else: "
        "containerd's content server says ALREADY_EXISTS and never looks at what was "
        "written, whereupon containerd's database names a blob that nobody has. Eagle "
        "says what the store behind that server says, FAILED_PRECONDITION."};

constexpr Difference kAbortMeetsClose{
    .name = "abort_meets_close",
    .reason =
        "A killed stream's writer closes a moment later and writes a file into the folder "
        "that Abort is removing; the built-in store's Abort fails then, now and again."};

bool IsTruncation(const Outcome& outcome, const Before& before) {
  return outcome.sent_data && outcome.offset_sent == 0 && outcome.bytes_sent == 0 &&
         std::max(outcome.offset_before, before.offset) > 0;
}

// A blob of another namespace that containerd showed in place of an ingest: the writer that takes
// its place then has not been asked for its digest.
bool TruncatesShared(const Outcome& built_in, const Outcome& eagle) {
  return built_in.sent_data && built_in.offset_sent == 0 && built_in.bytes_sent == 0 &&
         built_in.result == eagle.result && !built_in.digest.empty() && eagle.digest.empty();
}

// Before the ingest was looked at.
bool WasRefused(const Outcome& outcome) {
  return outcome.code == grpc::StatusCode::UNAVAILABLE ||
         outcome.code == grpc::StatusCode::ALREADY_EXISTS ||
         outcome.code == grpc::StatusCode::INVALID_ARGUMENT;
}

Call Message(const Operation& operation) {
  return operation.call == Call::kOpen ? operation.first : operation.call;
}

}  // namespace

const Difference* FindDifference(Surface surface, const Operation& operation, const Before& before,
                                 const Outcome& built_in, const Outcome& eagle) {
  const bool refused = operation.call == Call::kOpen && WasRefused(built_in);
  const bool opens = operation.call == Call::kOpen && !refused;
  if (opens && operation.total > 0 && before.total > 0 && before.total != operation.total &&
      before.offset > 0) {
    return &kAnotherTotal;
  }
  if (surface == Surface::kContainerd && TruncatesShared(built_in, eagle)) {
    return &kTruncationWithoutData;
  }
  if (IsTruncation(built_in, before) && !refused) {
    if (surface == Surface::kContainerd) return &kTruncationWithoutData;
    if (Message(operation) == Call::kCommit) return &kCommitAtZero;
  }
  if (Message(operation) == Call::kCommit && built_in.code == grpc::StatusCode::UNKNOWN &&
      eagle.code == grpc::StatusCode::FAILED_PRECONDITION) {
    return &kAbortedUnderStream;
  }
  if (surface == Surface::kStore && Message(operation) == Call::kCommit &&
      built_in.code == grpc::StatusCode::ALREADY_EXISTS &&
      (eagle.code == grpc::StatusCode::FAILED_PRECONDITION ||
       eagle.code == grpc::StatusCode::OUT_OF_RANGE)) {
    return &kCommitOfOtherBytes;
  }
  if (operation.call == Call::kAbort && built_in.code == grpc::StatusCode::UNKNOWN &&
      eagle.code == grpc::StatusCode::OK) {
    return &kAbortMeetsClose;
  }
  if (surface == Surface::kStore && opens && operation.first == Call::kStat &&
      built_in.offset_after > 0 && built_in.result == eagle.result && eagle.digest.empty()) {
    return &kFirstStatHashesNothing;
  }
  return nullptr;
}

}  // namespace eagle::differential
