#include "cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace eagle::cli {
namespace {

const char* Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "OK";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      return "FAIL";
  }
  return "FAIL";
}

}  // namespace

void Report::Ok(std::string check, std::string message) {
  findings_.push_back({Verdict::kOk, std::move(check), std::move(message), ""});
}

void Report::Warn(std::string check, std::string message, std::string remedy) {
  findings_.push_back({Verdict::kWarn, std::move(check), std::move(message), std::move(remedy)});
}

void Report::Fail(std::string check, std::string message, std::string remedy) {
  findings_.push_back({Verdict::kFail, std::move(check), std::move(message), std::move(remedy)});
}

Verdict Report::worst() const {
  Verdict worst = Verdict::kOk;
  for (const Finding& finding : findings_) worst = std::max(worst, finding.verdict);
  return worst;
}

std::string Report::Text() const {
  std::string text;
  for (const Finding& finding : findings_) {
    text += fmt::format("{:<5} {:<18} {}\n", Name(finding.verdict), finding.check, finding.message);
    if (!finding.remedy.empty()) text += fmt::format("{:24} -> {}\n", "", finding.remedy);
  }
  return text;
}

std::string Report::Json() const {
  nlohmann::ordered_json all;
  all["verdict"] = Name(worst());
  all["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : findings_) {
    all["findings"].push_back({{"check", finding.check},
                               {"verdict", Name(finding.verdict)},
                               {"message", finding.message},
                               {"remedy", finding.remedy}});
  }
  return all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace eagle::cli
