#include "e2e/differential/comparison.h"

#include <fmt/format.h>

namespace eagle::differential {
namespace {

std::string Describe(const Outcome& outcome) {
  if (outcome.skipped) return "no stream";
  std::string text = fmt::format("code={} {}", static_cast<int>(outcome.code), outcome.result);
  if (!outcome.digest.empty()) text += fmt::format(" {}", outcome.digest);
  if (!outcome.message.empty()) text += fmt::format(" \"{}\"", outcome.message.substr(0, 200));
  if (!outcome.implausible.empty()) text += fmt::format(" IMPLAUSIBLE: {}", outcome.implausible);
  return text;
}

bool Same(const Outcome& a, const Outcome& b) {
  return a.skipped == b.skipped && a.code == b.code && a.result == b.result && a.digest == b.digest;
}

}  // namespace

Comparison::Comparison(Surface surface, const std::string& built_in, const std::string& eagle)
    : surface_(surface), built_in_(built_in, surface), eagle_(eagle, surface) {}

std::string Comparison::Run(std::uint64_t seed) {
  const Sequence sequence = Generate(seed, surface_);
  const std::string prefix = fmt::format("sequence-{}", seed);
  built_in_.Begin(sequence, prefix);
  eagle_.Begin(sequence, prefix);
  history_.clear();
  Verdict verdict = Verdict::kSame;
  for (const Operation& operation : sequence.operations) {
    verdict = Step(operation);
    if (verdict != Verdict::kSame) break;
  }
  const std::string built_in_left = built_in_.Sweep();
  const std::string eagle_left = eagle_.Sweep();
  if (verdict == Verdict::kDifferent) return history_;
  if (!built_in_left.empty() || !eagle_left.empty()) {
    return fmt::format("{}left in the built-in store:\n{}left in Eagle:\n{}", history_,
                       built_in_left, eagle_left);
  }
  return "";
}

Comparison::Verdict Comparison::Step(const Operation& operation) {
  const Before before = Look(operation);
  const Outcome built_in = built_in_.Play(operation, built_in_.IsHeld(operation));
  const Outcome eagle = eagle_.Play(operation, built_in.code == grpc::StatusCode::UNAVAILABLE);
  ++calls_;
  Remember(operation, built_in, eagle);
  coverage_.Count(operation, built_in);
  if (!built_in.implausible.empty() || !eagle.implausible.empty()) return Verdict::kDifferent;
  const Difference* difference = FindDifference(surface_, operation, before, built_in, eagle);
  if (difference == nullptr) return Same(built_in, eagle) ? Verdict::kSame : Verdict::kDifferent;
  coverage_.CountDifference(difference->name);
  return difference->same_state ? Verdict::kSame : Verdict::kEnd;
}

// What matters of the past of a ref that is about to be opened.
Before Comparison::Look(const Operation& operation) {
  if (operation.call != Call::kOpen) return {};
  const Outcome status = built_in_.Play(
      {.call = Call::kStatus, .space = operation.space, .ref = operation.ref}, false);
  return {.offset = status.offset_after, .total = status.total};
}

void Comparison::Remember(const Operation& operation, const Outcome& built_in,
                          const Outcome& eagle) {
  if (built_in.skipped && eagle.skipped) return;
  history_ += fmt::format("{}\n", differential::Describe(operation));
  if (Same(built_in, eagle) && built_in.implausible.empty() && eagle.implausible.empty()) {
    history_ += fmt::format("    both: {}\n", Describe(eagle));
  } else {
    history_ +=
        fmt::format("    built-in: {}\n    eagle:    {}\n", Describe(built_in), Describe(eagle));
  }
}

}  // namespace eagle::differential
