#include "cli/containerd_host.h"

#include <fmt/format.h>
#include <re2/re2.h>
#include <unistd.h>

#include "cli/run_program.h"

namespace eagle::cli {
namespace {

// containerd says what is wrong in its last line, unless it panics.
std::string WhatIsWrong(std::string text) {
  if (const std::size_t panic = text.find("panic: "); panic != std::string::npos) {
    return text.substr(panic, text.find('\n', panic) - panic);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const std::size_t at = text.rfind('\n');
  return at == std::string::npos ? text : text.substr(at + 1);
}

}  // namespace

std::optional<ContainerdHost::Version> ParseVersion(const std::string& text) {
  ContainerdHost::Version version;
  if (!RE2::PartialMatch(text, R"( v?((\d+)\.(\d+)\.\d+\S*))", &version.text, &version.major,
                         &version.minor)) {
    return std::nullopt;
  }
  return version;
}

ContainerdHost ContainerdHost::Look(const HostOptions& options) {
  ContainerdHost host;
  host.options_ = options;
  while (host.options_.root.size() > 1 && host.options_.root.ends_with('/')) {
    host.options_.root.pop_back();
  }
  host.flavor_ = DetectFlavor(host.At(""));
  host.config_path_ = options.config.empty() ? host.flavor_.config : options.config;
  host.files_ = LoadContainerdConfig(host.options_.root, host.config_path_);
  host.FindProgram();
  if (!host.program_.empty()) host.AskProgram();
  return host;
}

void ContainerdHost::FindProgram() {
  std::vector<std::string> candidates = flavor_.binaries;
  if (!options_.containerd.empty()) candidates = {options_.containerd};
  for (const std::string& candidate : candidates) {
    if (::access(At(candidate).c_str(), X_OK) == 0) {
      program_ = candidate;
      return;
    }
  }
}

void ContainerdHost::AskProgram() {
  const auto version = RunProgram({program_, "--version"}, options_.root);
  if (version.ok() && version->exit_code == 0) version_ = ParseVersion(version->out);
  // Without a main file containerd reads none at all, and a dump would be of nothing.
  if (absl::IsNotFound(files_.status())) {
    dump_ = files_.status();
    return;
  }
  const auto dump =
      RunProgram({program_, "--config", config_path_, "config", "dump"}, options_.root);
  if (!dump.ok()) {
    dump_ = absl::UnavailableError(dump.status().message());
  } else if (dump->exit_code != 0) {
    dump_ = absl::InvalidArgumentError(WhatIsWrong(dump->error));
  } else {
    dump_ = ParseContainerdConfig(dump->out, "containerd config dump");
  }
}

const ContainerdConfig* ContainerdHost::effective() const {
  if (dump_.ok()) return &*dump_;
  return files_.ok() ? &*files_ : nullptr;
}

}  // namespace eagle::cli
