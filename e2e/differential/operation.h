#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace eagle::differential {

enum class Call {
  // The messages of a Write stream, and its ends.
  kOpen,
  kStat,
  kWrite,
  kCommit,
  kClose,
  kKill,
  kKillInFlight,
  // Everything else.
  kInfo,
  kUpdate,
  kList,
  kDelete,
  kRead,
  kStatus,
  kListStatuses,
  kAbort,
  kCollect,
};

/// Where a message says that its data belongs, as seen from where the stream is.
enum class At { kCurrent, kZero, kLower, kHigher, kNegative };

/// One call, written down without anything that only the server's answers tell, so that a sequence
/// of them is a function of its seed.
struct Operation {
  Call call = Call::kInfo;
  /// Which of the sequence's namespaces.
  int space = 0;

  /// Which of the client's streams.
  int slot = 0;
  /// What a stream opens with: kStat, kWrite or kCommit.
  Call first = Call::kStat;
  std::string ref{};
  std::int64_t total = 0;
  std::string expected{};
  At at = At::kCurrent;
  /// Bytes to write, out of this content of the sequence.
  int content = 0;
  std::int64_t bytes = 0;

  std::string digest{};
  std::int64_t offset = 0;
  std::int64_t size = 0;
  std::map<std::string, std::string> labels{};
  std::vector<std::string> paths{};
  std::vector<std::string> filters{};
};

struct Sequence {
  std::uint64_t seed = 0;
  /// What its blobs are made of; no other sequence has the same bytes.
  std::vector<std::string> contents;
  /// All that its streams use.
  std::vector<std::string> refs;
  std::vector<Operation> operations;
};

std::string_view CallName(Call call);
std::string Describe(const Operation& operation);

}  // namespace eagle::differential
