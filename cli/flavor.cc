#include "cli/flavor.h"

#include <fmt/format.h>
#include <unistd.h>

namespace eagle::cli {
namespace {

Flavor Rancher(const std::string& name, std::vector<std::string> units, std::string binary) {
  const std::string agent = "/var/lib/rancher/" + name + "/agent";
  const std::string etc = agent + "/etc/containerd";
  return {.name = name,
          .units = std::move(units),
          .config = etc + "/config.toml",
          .drop_ins_v2 = etc + "/config.toml.d",
          .drop_ins_v3 = etc + "/config-v3.toml.d",
          .containerd_root = agent + "/containerd",
          .socket = "/run/k3s/containerd/containerd.sock",
          .binaries = {std::move(binary)},
          .template_v2 = etc + "/config.toml.tmpl",
          .template_v3 = etc + "/config-v3.toml.tmpl"};
}

}  // namespace

const std::vector<Flavor>& Flavors() {
  static const std::vector<Flavor> all{
      {.name = "containerd",
       .units = {"containerd.service"},
       .config = "/etc/containerd/config.toml",
       .drop_ins_v2 = "/etc/containerd/conf.d",
       .drop_ins_v3 = "/etc/containerd/conf.d",
       .containerd_root = "/var/lib/containerd",
       .socket = "/run/containerd/containerd.sock",
       .binaries = {"/usr/bin/containerd", "/usr/local/bin/containerd"},
       .template_v2 = "",
       .template_v3 = ""},
      Rancher("k3s", {"k3s.service", "k3s-agent.service"},
              "/var/lib/rancher/k3s/data/current/bin/containerd"),
      Rancher("rke2", {"rke2-server.service", "rke2-agent.service"},
              "/var/lib/rancher/rke2/bin/containerd")};
  return all;
}

absl::StatusOr<Flavor> FlavorOf(std::string_view name) {
  std::string names;
  for (const Flavor& flavor : Flavors()) {
    if (flavor.name == name) return flavor;
    names += (names.empty() ? "" : ", ") + flavor.name;
  }
  return absl::InvalidArgumentError(fmt::format("{}: unknown; there are {}", name, names));
}

Flavor DetectFlavor(const std::string& root) {
  for (const Flavor& flavor : Flavors()) {
    if (::access((root + flavor.config).c_str(), F_OK) == 0) return flavor;
  }
  return Flavors().front();
}

}  // namespace eagle::cli
