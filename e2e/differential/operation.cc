#include "e2e/differential/operation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace eagle::differential {
namespace {

constexpr std::size_t kShownBytes = 60;

std::string_view AtName(At at) {
  switch (at) {
    case At::kCurrent:
      return "current";
    case At::kZero:
      return "zero";
    case At::kLower:
      return "lower";
    case At::kHigher:
      return "higher";
    case At::kNegative:
      return "negative";
  }
  return "";
}

std::string Shown(const std::string& text) {
  return text.size() <= kShownBytes ? text : fmt::format("{}...", text.substr(0, kShownBytes));
}

std::string DescribeMessage(const Operation& operation, Call call) {
  std::string text = fmt::format("total={} expected={}", operation.total, operation.expected);
  if (call == Call::kStat) return text;
  return fmt::format("{} at={} bytes={} of={} labels={}", text, AtName(operation.at),
                     operation.bytes, operation.content, operation.labels.size());
}

}  // namespace

std::string_view CallName(Call call) {
  switch (call) {
    case Call::kOpen:
      return "Write.open";
    case Call::kStat:
      return "Write.stat";
    case Call::kWrite:
      return "Write.write";
    case Call::kCommit:
      return "Write.commit";
    case Call::kClose:
      return "Write.close";
    case Call::kKill:
      return "Write.kill";
    case Call::kKillInFlight:
      return "Write.kill_in_flight";
    case Call::kInfo:
      return "Info";
    case Call::kUpdate:
      return "Update";
    case Call::kList:
      return "List";
    case Call::kDelete:
      return "Delete";
    case Call::kRead:
      return "Read";
    case Call::kStatus:
      return "Status";
    case Call::kListStatuses:
      return "ListStatuses";
    case Call::kAbort:
      return "Abort";
    case Call::kCollect:
      return "Collect";
  }
  return "";
}

std::string Describe(const Operation& operation) {
  const auto head = fmt::format("{} ns{}", CallName(operation.call), operation.space);
  switch (operation.call) {
    case Call::kOpen:
      return fmt::format("{} slot{} {} ref={} {}", head, operation.slot, CallName(operation.first),
                         Shown(operation.ref), DescribeMessage(operation, operation.first));
    case Call::kStat:
    case Call::kWrite:
    case Call::kCommit:
    case Call::kKillInFlight:
      return fmt::format("{} slot{} {}", head, operation.slot,
                         DescribeMessage(operation, operation.call));
    case Call::kClose:
    case Call::kKill:
      return fmt::format("{} slot{}", head, operation.slot);
    case Call::kUpdate:
      return fmt::format("{} {} paths=[{}] labels={}", head, operation.digest,
                         fmt::join(operation.paths, " "), operation.labels.size());
    case Call::kList:
    case Call::kListStatuses:
      return fmt::format("{} filters=[{}]", head, fmt::join(operation.filters, " | "));
    case Call::kRead:
      return fmt::format("{} {} offset={} size={}", head, operation.digest, operation.offset,
                         operation.size);
    case Call::kInfo:
    case Call::kDelete:
      return fmt::format("{} {}", head, Shown(operation.digest));
    case Call::kStatus:
    case Call::kAbort:
      return fmt::format("{} ref={}", head, Shown(operation.ref));
    case Call::kCollect:
      return head;
  }
  return head;
}

}  // namespace eagle::differential
