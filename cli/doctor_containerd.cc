#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "cli/doctor.h"

namespace eagle::cli {
namespace {

constexpr const char* kBuiltIn = "io.containerd.content.v1.content";
constexpr const char* kRender = "eaglectl config render";

bool Has(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

void CheckVersion(const ContainerdHost& host, Report* report) {
  const std::string check = "containerd-version";
  if (host.program().empty()) {
    report->Warn(check, "no containerd was found", "name it with --containerd, or install it");
  } else if (!host.version()) {
    report->Warn(check, host.program() + " does not tell its version",
                 "run it with --version and look at what it says");
  } else if (!host.version()->AtLeast(1, 6)) {
    report->Fail(check, host.version()->text + " is too old",
                 "Eagle needs containerd 1.6 or newer");
  } else {
    report->Ok(check, fmt::format("{} {}", host.program(), host.version()->text));
  }
}

// Whether containerd takes its files at all.
void CheckConfig(const ContainerdHost& host, Report* report) {
  const std::string check = "containerd-config";
  if (absl::IsNotFound(host.files().status())) {
    report->Warn(check,
                 host.config_path() +
                     " is not there: containerd runs on its defaults and reads no "
                     "drop-in",
                 "make one with `version` and `imports`, as `eaglectl config render` says");
  } else if (!host.files().ok()) {
    report->Fail(check, std::string(base::Message(host.files().status())),
                 "mend the file: containerd does not start with it");
  } else if (!host.dump().ok() && !absl::IsUnavailable(host.dump().status())) {
    report->Fail(check,
                 fmt::format("containerd refuses its configuration: {}",
                             base::Message(host.dump().status())),
                 "mend it before the next restart of containerd, which would not come up");
  } else {
    report->Ok(check,
               fmt::format("{}, version {}{}", host.config_path(), host.files()->root_version(),
                           host.dump().ok() ? ", taken by containerd config dump" : ""));
  }
}

void CheckImports(const ContainerdHost& host, Report* report) {
  if (!host.files().ok()) return;
  const std::string check = "imports";
  const ContainerdConfig& files = *host.files();
  for (const std::string& missing : files.missing_imports) {
    report->Fail(check,
                 fmt::format("{} is imported and not there: containerd does not start", missing),
                 "import with a wildcard, which may match nothing: <folder>/*.toml");
  }
  bool found = false;
  for (const std::string& folder : {host.flavor().drop_ins_v2, host.flavor().drop_ins_v3}) {
    const std::string path = fmt::format("{}/{}", folder, kDropInName);
    if (::access(host.At(path).c_str(), F_OK) != 0 || found) continue;
    found = true;
    if (files.Find(path) != nullptr) {
      report->Ok(check, path + " is read");
    } else {
      report->Fail(check,
                   fmt::format("{} is there, but {} does not import it: Eagle is not in use", path,
                               host.config_path()),
                   fmt::format("add `imports = [\"{}/*.toml\"]` at the top of {} and restart "
                               "containerd",
                               folder, host.config_path()));
    }
  }
  for (const std::string& folder : {host.flavor().drop_ins_v2, host.flavor().drop_ins_v3}) {
    const std::string off = fmt::format("{}/{}", folder, kDropInOffName);
    if (found || ::access(host.At(off).c_str(), F_OK) != 0) continue;
    report->Warn(check, off + ": the guard or the fallback has taken Eagle out of use",
                 "see /etc/eagle/disabled for why; mend that, remove it, restart containerd");
    found = true;
  }
}

void CheckDropInVersions(const ContainerdHost& host, Report* report) {
  if (!host.files().ok() || host.files()->files.size() < 2) return;
  const std::string check = "drop-in-version";
  const std::int64_t root = host.files()->root_version();
  bool good = true;
  for (std::size_t i = 1; i < host.files()->files.size(); ++i) {
    const ContainerdConfig::File& file = host.files()->files[i];
    const std::int64_t version = file.version.value_or(root);
    if (version == root) continue;
    good = false;
    const std::string message =
        fmt::format("{} has version {}, {} has {}", file.path, version, host.config_path(), root);
    const std::string remedy = fmt::format("write `version = {}` in {}", root, file.path);
    if (version > root) {
      report->Fail(check,
                   message +
                       ": containerd 2.3 does not start, 2.0 to 2.2 read the main "
                       "file's settings wrong",
                   remedy);
    } else {
      report->Warn(check, message, remedy);
    }
  }
  if (good) report->Ok(check, fmt::format("every drop-in has version {}", root));
}

std::vector<std::string> ContentProxies(const ContainerdConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, proxy] : config.proxies) {
    if (proxy.type == "content") names.push_back(name);
  }
  return names;
}

// Exactly one store, and it is Eagle's.
void CheckStores(Patient& patient, const ContainerdConfig& config, Report* report) {
  const std::string check = "content-store";
  const bool built_in = !Has(config.disabled, kBuiltIn);
  const std::vector<std::string> proxies = ContentProxies(config);
  patient.eagle_configured = config.proxies.contains("eagle");
  if (built_in && Has(config.disabled, "content")) {
    report->Fail(check,
                 "disabled_plugins names the built-in store \"content\", which disables "
                 "nothing since config version 2",
                 fmt::format("write its full name, \"{}\"", kBuiltIn));
  } else if (proxies.size() > 1 || (built_in && !proxies.empty())) {
    report->Fail(check,
                 fmt::format("two content stores at once ({}{}): containerd 1.x takes either at "
                             "random at each start, 2.x does not start its CRI",
                             built_in ? "the built-in one and " : "", fmt::join(proxies, " and ")),
                 built_in
                     ? fmt::format("add \"{}\" to disabled_plugins in Eagle's drop-in", kBuiltIn)
                     : "remove the other one");
  } else if (!built_in && proxies.empty()) {
    report->Fail(
        check, "the built-in store is disabled and no other is there",
        fmt::format("put Eagle's drop-in back ({}), or enable the built-in store", kRender));
  } else if (built_in) {
    report->Warn(check, "containerd uses its built-in store: Eagle is not in its configuration",
                 fmt::format("{} --for <version> prints the drop-in", kRender));
  } else if (!patient.eagle_configured) {
    report->Fail(check, fmt::format("{} is the content store, not eagle", proxies.front()),
                 "one containerd has one store; decide for one");
  } else {
    report->Ok(check, "eagle, and the built-in one is disabled");
  }
  if (!patient.eagle_configured) return;
  const std::string& address = config.proxies.at("eagle").address;
  if (UnixPath(address) == UnixPath(patient.plugin.listen)) return;
  report->Fail("proxy-address",
               fmt::format("containerd looks for Eagle at {}, and it listens on {}", address,
                           UnixPath(patient.plugin.listen)),
               "write the same path into both");
}

void CheckApply(const ContainerdHost& host, const ContainerdConfig& config, Report* report) {
  const std::string check = "apply";
  const auto proxy = config.proxies.find("eagle-diff");
  const bool configured = proxy != config.proxies.end() && proxy->second.type == "diff";
  if (host.version() && !host.version()->AtLeast(1, 7)) {
    if (!configured) return;
    report->Fail(check, "containerd 1.6 panics at a proxy plugin of type diff",
                 fmt::format("render the drop-in anew: {} --for 1.6", kRender));
    return;
  }
  const std::string anew = fmt::format("render the drop-in anew ({})", kRender);
  const bool asked = !config.differs.empty() && Has(config.differs.back().order, "eagle-diff");
  const bool by_transfer =
      std::any_of(config.unpack.begin(), config.unpack.end(),
                  [](const ContainerdConfig::Unpack& one) { return one.differ == "eagle-diff"; });
  if (!configured && (asked || by_transfer)) {
    report->Fail(check, "eagle-diff is to unpack layers, and no proxy plugin has that name", anew);
  } else if (!configured) {
    report->Warn(check,
                 "containerd unpacks layers itself, reading them in pieces of 32 KiB through "
                 "the plugin",
                 anew);
  } else if (!asked || config.differs.back().order.front() != "eagle-diff") {
    report->Warn(check, "eagle-diff is not the first of the diff service's appliers", anew);
  } else if (config.differs.back().order.size() < 2) {
    report->Warn(check, "nobody unpacks what eagle-diff leaves to others",
                 "default = [\"eagle-diff\", \"walking\"]");
  } else if (host.version() && host.version()->AtLeast(2, 1) && !by_transfer) {
    report->Warn(check, "the transfer service, by which CRI pulls, does not unpack with eagle-diff",
                 anew);
  } else if (config.unpack.size() > 1) {
    report->Warn(check, "more than one unpack_config: which one holds is containerd's choice",
                 "leave one for each snapshotter");
  } else {
    report->Ok(check, "layers are unpacked by eagle-diff");
  }
}

}  // namespace

void CheckContainerd(Patient& patient, Report* report) {
  const ContainerdHost& host = patient.host;
  CheckVersion(host, report);
  CheckConfig(host, report);
  CheckImports(host, report);
  CheckDropInVersions(host, report);
  const ContainerdConfig* config = host.effective();
  if (config == nullptr) return;
  CheckStores(patient, *config, report);
  if (patient.eagle_configured) CheckApply(host, *config, report);
}

}  // namespace eagle::cli
