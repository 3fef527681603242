// eagle-e2e-differential: plays generated sequences of calls on containerd's built-in content store
// and on Eagle's, and compares every answer.
//
// Exit codes: 0 no difference, 1 differences or a gap in what was covered, 2 bad usage.
#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "e2e/differential/comparison.h"

namespace {

using eagle::differential::Comparison;
using eagle::differential::Surface;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kMaxFailures = 3;
// Fewer need not come to everything.
constexpr std::uint64_t kEnoughForCoverage = 250;

constexpr char kUsageText[] =
    "usage: eagle-e2e-differential --built-in ADDRESS --eagle ADDRESS --surface containerd|store\n"
    "                              --seed N --sequences N\n"
    "Sequence i has the seed N + i. A seed that failed is run alone with --sequences 1.\n";

bool ReadNumber(const std::string& text, std::uint64_t* number) {
  const char* end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, *number);
  return error == std::errc() && read == end;
}

int Run(Comparison& comparison, Surface surface, std::uint64_t seed, std::uint64_t sequences) {
  const auto start = std::chrono::steady_clock::now();
  int failures = 0;
  std::uint64_t played = 0;
  for (; played < sequences && failures < kMaxFailures; ++played) {
    const std::string problem = comparison.Run(seed + played);
    if (problem.empty()) continue;
    ++failures;
    std::cout << "seed " << seed + played << " differs:\n" << problem << std::endl;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << "seed " << seed << ": " << played << " sequences, " << comparison.calls()
            << " calls, " << failures << " differ, " << seconds.count() << " s\n"
            << comparison.coverage().Table();
  if (failures > 0) return kFailed;
  if (sequences < kEnoughForCoverage) return 0;
  const auto missing = comparison.coverage().Missing(surface);
  for (const std::string& name : missing) std::cout << "never came to: " << name << '\n';
  return missing.empty() ? 0 : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> flags;
  for (int i = 1; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  std::uint64_t seed = 0;
  std::uint64_t sequences = 0;
  const std::string surface_name = flags["--surface"];
  if (argc != 11 || !ReadNumber(flags["--seed"], &seed) ||
      !ReadNumber(flags["--sequences"], &sequences) || flags["--built-in"].empty() ||
      flags["--eagle"].empty() || (surface_name != "containerd" && surface_name != "store")) {
    std::cerr << kUsageText;
    return kUsage;
  }
  const Surface surface = surface_name == "store" ? Surface::kStore : Surface::kContainerd;
  Comparison comparison(surface, flags["--built-in"], flags["--eagle"]);
  return Run(comparison, surface, seed, sequences);
}
