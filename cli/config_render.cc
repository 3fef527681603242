#include "cli/config_render.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace eagle::cli {
namespace {

constexpr std::string_view kApplier = "eagle-diff";
constexpr std::string_view kDefaultSnapshotter = "overlayfs";

constexpr std::string_view kStore =
    R"(# Eagle as containerd's content store, on the built-in store's own folder: images stay.
# From `eaglectl config render --for {target}`; belongs into {path}.
version = {version}

# With both stores containerd 1.x takes either at random, and 2.x does not start its CRI.
disabled_plugins = ["io.containerd.content.v1.content"]

[proxy_plugins.eagle]
  type = "content"
  address = "{socket}"
)";

constexpr std::string_view kDiff = R"(
# Eagle unpacks layers, too; what it leaves to others goes on to containerd's own applier.
[proxy_plugins.eagle-diff]
  type = "diff"
  address = "{socket}"

[plugins."io.containerd.service.v1.diff-service"]
  default = ["eagle-diff", "walking"]
)";

constexpr std::string_view kTransfer = R"(
# The transfer service, by which CRI pulls from 2.1 on, has a setting of its own.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux"
  snapshotter = "{snapshotter}"
  differ = "eagle-diff"
)";

// What the containerd of a target can do.
struct Abilities {
  bool diff = false;
  bool transfer = false;
};

absl::StatusOr<Abilities> AbilitiesOf(const ContainerdHost& host, const std::string& target,
                                      std::int64_t config_version) {
  if (target == "1.6") return Abilities{};
  if (target == "1.7") return Abilities{.diff = true};
  if (target == "2.x") return Abilities{.diff = true, .transfer = true};
  if (target != "k3s" && target != "rke2") {
    return absl::InvalidArgumentError(
        fmt::format("--for {}: unknown; there are 1.6, 1.7, 2.x, k3s and rke2", target));
  }
  // Which containerd is in it is asked, else guessed by its configuration: 2.x writes version 3.
  if (!host.version()) return Abilities{config_version >= 3, config_version >= 3};
  return Abilities{host.version()->AtLeast(1, 7), host.version()->AtLeast(2, 0)};
}

absl::Status CheckTarget(const ContainerdHost& host, const std::string& target) {
  const auto& version = host.version();
  if (!version) return absl::OkStatus();
  const bool fits = target == "1.6"   ? !version->AtLeast(1, 7)
                    : target == "1.7" ? version->AtLeast(1, 7) && !version->AtLeast(2, 0)
                    : target == "2.x" ? version->AtLeast(2, 0)
                                      : true;
  if (fits) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "--for {}: {} is version {}; render for that one", target, host.program(), version->text));
}

absl::StatusOr<std::int64_t> DropInVersion(const ContainerdHost& host,
                                           const RenderOptions& options) {
  if (options.config_version != 0) return options.config_version;
  if (absl::IsNotFound(host.files().status())) return options.target == "2.x" ? 3 : 2;
  EAGLE_RETURN_IF_ERROR(host.files().status());
  const std::int64_t version = host.files()->root_version();
  if (version >= 2) return version;
  return absl::FailedPreconditionError(fmt::format(
      "{} is of version 1 (no `version` is written in it), in which a plugin cannot be disabled by "
      "its full name; run `containerd config migrate` and put its output there first",
      host.config_path()));
}

bool IsOwn(const std::string& file) {
  return file.ends_with(fmt::format("/{}", kDropInName));
}

// What else than Eagle's drop-in says how layers are unpacked: "" when nothing does.
std::string OtherUnpacker(const ContainerdHost& host, const Abilities& abilities) {
  if (host.files().ok()) {
    for (const auto& differs : host.files()->differs) {
      if (IsOwn(differs.file)) continue;
      return fmt::format(
          "{} sets `default` of io.containerd.service.v1.diff-service; put "
          "\"{}\" in front of its list there",
          differs.file, kApplier);
    }
  }
  if (!abilities.transfer) return "";
  const std::string add = fmt::format("add `differ = \"{}\"` to it there", kApplier);
  if (host.files().ok()) {
    for (const auto& unpack : host.files()->unpack) {
      if (IsOwn(unpack.file) || unpack.differ == kApplier) continue;
      return fmt::format(
          "{} has an unpack_config of io.containerd.transfer.v1.local, to which a "
          "drop-in's would be appended; {}",
          unpack.file, add);
    }
  }
  if (host.dump().ok()) {
    for (const auto& unpack : host.dump()->unpack) {
      if (unpack.differ == kApplier) continue;
      return fmt::format("`containerd config dump` shows an unpack_config for {}; {}",
                         unpack.snapshotter, add);
    }
  }
  return "";
}

std::string ImportLine(const std::string& folder) {
  return fmt::format("imports = [\"{}/*.toml\"]", folder);
}

std::string Todo(const ContainerdHost& host, const Flavor& flavor, const std::string& folder,
                 std::int64_t version) {
  const std::string& main_template = version >= 3 ? flavor.template_v3 : flavor.template_v2;
  std::string todo;
  if (absl::IsNotFound(host.files().status()) && main_template.empty()) {
    todo += fmt::format(
        "There is no {}; without one containerd reads no drop-in. Make it of two "
        "lines: `version = {}` and `{}`.\n",
        host.config_path(), version, ImportLine(folder));
  } else if (host.files().ok()) {
    const auto& imports = host.files()->files.front().imports;
    const bool imported = std::any_of(imports.begin(), imports.end(), [&](const std::string& one) {
      return one.starts_with(folder + "/*");
    });
    if (!imported && main_template.empty()) {
      todo += fmt::format("{} does not import the folder; add `{}` at its top.\n",
                          host.config_path(), ImportLine(folder));
    } else if (!imported) {
      todo += fmt::format(
          "{} does not import the folder, and {} writes it anew at each start; put "
          "`{}` and, below it, `{{{{ template \"base\" . }}}}` into {}.\n",
          host.config_path(), flavor.name, ImportLine(folder), main_template);
    }
  }
  todo += fmt::format("Then: systemctl restart {}, and eaglectl doctor.\n", flavor.units.front());
  return todo;
}

}  // namespace

absl::StatusOr<Rendered> RenderConfig(const ContainerdHost& host, const RenderOptions& options) {
  EAGLE_RETURN_IF_ERROR(CheckTarget(host, options.target));
  EAGLE_ASSIGN_OR_RETURN(const std::int64_t version, DropInVersion(host, options));
  EAGLE_ASSIGN_OR_RETURN(Abilities abilities, AbilitiesOf(host, options.target, version));
  if (!options.apply) abilities = {};
  Flavor flavor = host.flavor();
  if (const auto named = FlavorOf(options.target); named.ok()) flavor = *named;

  const std::string& folder = version >= 3 ? flavor.drop_ins_v3 : flavor.drop_ins_v2;
  Rendered rendered;
  rendered.path = fmt::format("{}/{}", folder, kDropInName);
  if (abilities.diff) {
    if (const std::string other = OtherUnpacker(host, abilities); !other.empty()) {
      return absl::FailedPreconditionError(
          other + ", and render with --no-apply; or take it away and render again");
    }
  }
  rendered.text =
      fmt::format(kStore, fmt::arg("target", options.target), fmt::arg("path", rendered.path),
                  fmt::arg("version", version), fmt::arg("socket", options.socket));
  if (abilities.diff) rendered.text += fmt::format(kDiff, fmt::arg("socket", options.socket));
  if (abilities.transfer) {
    std::string snapshotter = options.snapshotter;
    if (snapshotter.empty() && host.effective() != nullptr) {
      snapshotter = host.effective()->snapshotter;
    }
    if (snapshotter.empty()) snapshotter = kDefaultSnapshotter;
    rendered.text += fmt::format(kTransfer, fmt::arg("snapshotter", snapshotter));
  }
  rendered.todo = Todo(host, flavor, folder, version);
  return rendered;
}

}  // namespace eagle::cli
