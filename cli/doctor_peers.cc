#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <functional>
#include <string_view>

#include "cli/doctor.h"
#include "cli/reach.h"
#include "lib/base/endpoint.h"

namespace eagle::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{2000};

// "http://host:6969/announce" as host and port.
absl::StatusOr<base::Endpoint> EndpointOf(std::string_view address) {
  std::string_view authority = address;
  std::string port = "80";
  if (const std::size_t scheme = authority.find("://"); scheme != std::string_view::npos) {
    if (authority.starts_with("https")) port = "443";
    authority.remove_prefix(scheme + 3);
  }
  authority = authority.substr(0, authority.find('/'));
  if (auto endpoint = base::Endpoint::Parse(authority); endpoint.ok()) return endpoint;
  return base::Endpoint::Parse(fmt::format("{}:{}", authority, port));
}

void CheckEach(const std::string& check, const std::vector<std::string>& addresses,
               const std::string& without, Report* report) {
  if (addresses.empty()) {
    report->Warn(check, "sidecar.yaml names none", "name all of them; " + without);
    return;
  }
  std::size_t reached = 0;
  std::string silent;
  for (const std::string& address : addresses) {
    absl::Status status = absl::OkStatus();
    if (address.starts_with("udp://")) {
      // Whether somebody is there cannot be told without announcing.
      continue;
    }
    const auto endpoint = EndpointOf(address);
    status =
        endpoint.ok() ? ReachTcp(endpoint->host, endpoint->port, kPatience) : endpoint.status();
    if (status.ok()) {
      ++reached;
    } else {
      silent += fmt::format("{}{}", silent.empty() ? "" : "; ", base::Message(status));
    }
  }
  if (silent.empty()) {
    report->Ok(check, fmt::format("{} of {} reached", reached, addresses.size()));
  } else {
    report->Warn(check, fmt::format("{} of {} reached; {}", reached, addresses.size(), silent),
                 fmt::format("see that they run and that no firewall or policy is between{}",
                             reached == 0 ? "; " + without : ""));
  }
}

}  // namespace

void CheckPeers(const Patient& patient, Report* report) {
  const std::string path = UnixPath(patient.plugin.sidecar_address);
  const absl::Status sidecar = ReachUnixServer(patient.host.At(path), kPatience);
  if (sidecar.ok()) {
    report->Ok("sidecar", path + " serves");
  } else {
    report->Warn("sidecar", fmt::format("{}: {}", path, base::Message(sidecar)),
                 "start eagle-sidecar; until then pulls come from the registry");
  }
  const std::string& config = patient.options.sidecar_config;
  const auto settings = LoadSidecarSettings(patient.host.At(config));
  if (!settings.ok()) {
    report->Warn("sidecar-config",
                 absl::IsNotFound(settings.status())
                     ? config + " is not there"
                     : std::string(base::Message(settings.status())),
                 "in a cluster the sidecar's pod has it: ask there; else make one");
    return;
  }
  if (settings->cache_dir != patient.plugin.cache_dir) {
    report->Fail("sidecar-config",
                 fmt::format("the sidecar's cache_dir is {}, the plugin's {}", settings->cache_dir,
                             patient.plugin.cache_dir),
                 "write the same folder into both");
  } else {
    report->Ok("sidecar-config", config);
  }
  CheckEach("seeders", settings->seeders, "without any, layers come from the registry", report);
  CheckEach("trackers", settings->trackers,
            "without any, nodes find the seeders only, not one another", report);
}

}  // namespace eagle::cli
