#pragma once

#include <string>
#include <vector>

namespace eagle::cli {

enum class Verdict { kOk, kWarn, kFail };

/// One line of a diagnosis.
struct Finding {
  Verdict verdict = Verdict::kOk;
  /// Stable name of the check, for scripts: "drop-in-version".
  std::string check;
  std::string message;
  /// What to do about it; empty for kOk.
  std::string remedy;
};

/// What a diagnosis found, in the order of the checks. Not thread-safe.
class Report {
 public:
  void Ok(std::string check, std::string message);
  void Warn(std::string check, std::string message, std::string remedy);
  void Fail(std::string check, std::string message, std::string remedy);

  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
  /// The gravest of all; kOk when there is none.
  [[nodiscard]] Verdict worst() const;
  /// 0, 1 and 2 for OK, WARN and FAIL.
  [[nodiscard]] int exit_code() const { return static_cast<int>(worst()); }

  /// A line for each finding, and one with its remedy below it.
  [[nodiscard]] std::string Text() const;
  /// {"verdict": ..., "findings": [{"check", "verdict", "message", "remedy"}]}
  [[nodiscard]] std::string Json() const;

 private:
  std::vector<Finding> findings_;
};

}  // namespace eagle::cli
