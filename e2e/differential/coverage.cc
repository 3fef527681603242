#include "e2e/differential/coverage.h"

#include <fmt/format.h>

namespace eagle::differential {
namespace {

constexpr std::string_view kEverywhere[] = {"Write.open OK",
                                            "Write.open OK resumed",
                                            "Write.open UNAVAILABLE",
                                            "Write.open ALREADY_EXISTS",
                                            "Write.open OUT_OF_RANGE",
                                            "Write.stat OK",
                                            "Write.write OK",
                                            "Write.write OK truncated",
                                            "Write.write OUT_OF_RANGE",
                                            "Write.commit OK",
                                            "Write.commit OUT_OF_RANGE",
                                            "Write.commit FAILED_PRECONDITION",
                                            "Write.commit ALREADY_EXISTS",
                                            "Write.close OK",
                                            "Write.kill CANCELLED",
                                            "Write.kill_in_flight OK",
                                            "Info OK",
                                            "Info NOT_FOUND",
                                            "Info INVALID_ARGUMENT",
                                            "Update INVALID_ARGUMENT",
                                            "List OK",
                                            "List OK something",
                                            "List INVALID_ARGUMENT",
                                            "Delete OK",
                                            "Delete INVALID_ARGUMENT",
                                            "Read OK",
                                            "Read OK something",
                                            "Read OUT_OF_RANGE",
                                            "Read NOT_FOUND",
                                            "Read INVALID_ARGUMENT",
                                            "Status OK something",
                                            "Status NOT_FOUND",
                                            "ListStatuses OK",
                                            "ListStatuses OK something",
                                            "ListStatuses INVALID_ARGUMENT",
                                            "Abort OK",
                                            "another_total",
                                            "aborted_under_a_stream"};

constexpr std::string_view kThroughContainerd[] = {"Write.commit INVALID_ARGUMENT",
                                                   "Update OK something",
                                                   "Update NOT_FOUND",
                                                   "Delete NOT_FOUND",
                                                   "Abort NOT_FOUND",
                                                   "Collect OK",
                                                   "truncation_without_data"};

constexpr std::string_view kAtTheStore[] = {"Write.open INVALID_ARGUMENT",
                                            "Update FAILED_PRECONDITION", "commit_at_zero",
                                            "commit_of_other_bytes", "first_stat_hashes_nothing"};

std::string_view CodeName(grpc::StatusCode code) {
  constexpr std::string_view kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT", "DEADLINE",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "EXHAUSTED",        "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",         "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return kNames[static_cast<std::size_t>(code)];
}

bool IsQuestion(Call call) {
  return call == Call::kUpdate || call == Call::kList || call == Call::kStatus ||
         call == Call::kListStatuses;
}

// What makes an OK a deeper one.
std::string_view Depth(const Operation& operation, const Outcome& outcome) {
  if (outcome.code != grpc::StatusCode::OK) return "";
  if (operation.call == Call::kRead) return outcome.bytes_read > 0 ? " something" : "";
  if (IsQuestion(operation.call)) return outcome.result.empty() ? "" : " something";
  if (operation.call == Call::kOpen) return outcome.offset_after > 0 ? " resumed" : "";
  if (!outcome.sent_data) return "";
  const bool truncated = outcome.offset_sent == 0 && outcome.offset_before > 0;
  if (truncated) return " truncated";
  return "";
}

}  // namespace

std::string Coverage::Class(const Operation& operation, const Outcome& outcome) {
  return fmt::format("{} {}{}", CallName(operation.call), CodeName(outcome.code),
                     Depth(operation, outcome));
}

void Coverage::Count(const Operation& operation, const Outcome& outcome) {
  if (!outcome.skipped) ++seen_[Class(operation, outcome)];
}

void Coverage::CountDifference(std::string_view name) {
  ++seen_[std::string(name)];
}

std::vector<std::string> Coverage::Missing(Surface surface) const {
  std::vector<std::string> missing;
  const auto look_for = [&](const auto& classes) {
    for (const std::string_view name : classes) {
      if (!seen_.contains(std::string(name))) missing.emplace_back(name);
    }
  };
  look_for(kEverywhere);
  if (surface == Surface::kContainerd) look_for(kThroughContainerd);
  if (surface == Surface::kStore) look_for(kAtTheStore);
  return missing;
}

std::string Coverage::Table() const {
  std::string table;
  for (const auto& [name, count] : seen_) table += fmt::format("  {:>8}  {}\n", count, name);
  return table;
}

}  // namespace eagle::differential
