#include "cli/command_line.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <string>

#include "cli/config_render.h"
#include "cli/doctor.h"
#include "cli/exit_code.h"
#include "cli/plugin_command.h"
#include "cli/preheat_command.h"
#include "cli/seeder_command.h"
#include "cli/store_command.h"
#include "lib/observe/build_info.h"

namespace eagle::cli {
namespace {

// What the chosen subcommand does; returns the exit code.
using Action = std::function<int()>;

// Everything that options are read into; lives as long as the parse and the action.
struct Arguments {
  PluginCall plugin;
  StoreCall store;
  PreheatCall preheat;
  SeederCall seeder;
  std::string digest;
  DoctorOptions doctor;
  RenderOptions render;
  HostOptions render_host;
  std::string reason;
  std::string rate = "unlimited";
  Action action;
};

void AddOutput(CLI::App* command, bool* json) {
  command
      ->add_option_function<std::string>(
          "-o,--output", [json](const std::string& format) { *json = format == "json"; },
          "text or json")
      ->check(CLI::IsMember({"text", "json"}));
}

void AddSocket(CLI::App* command, PluginCall* call) {
  command->add_option("--socket", call->socket, "the plugin's socket")->capture_default_str();
  AddOutput(command, &call->json);
}

void AddHost(CLI::App* command, HostOptions* host) {
  command->add_option("--root", host->root, "look at the host below this folder")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  command
      ->add_option("--containerd-config", host->config,
                   "containerd's main file (default: where the distribution has it)")
      ->type_name("FILE");
  command->add_option("--containerd", host->containerd, "containerd's program")->type_name("FILE");
}

void AddP2p(CLI::App& app, Arguments* all) {
  CLI::App* p2p = app.add_subcommand("p2p", "layers from other nodes: on, off, status");
  p2p->require_subcommand(1);
  CLI::App* on = p2p->add_subcommand("on", "take layers from other nodes again");
  CLI::App* off = p2p->add_subcommand(
      "off", "all layers from the registry, at once and until `p2p on`, over restarts and reboots");
  off->add_option("--reason", all->reason, "for the next person who looks");
  CLI::App* status = p2p->add_subcommand("status", "whether P2P is on, and by which rules");
  for (CLI::App* command : {on, off, status}) AddSocket(command, &all->plugin);
  on->callback([all] { all->action = [all] { return P2pSwitch(all->plugin, true, ""); }; });
  off->callback(
      [all] { all->action = [all] { return P2pSwitch(all->plugin, false, all->reason); }; });
  status->callback([all] { all->action = [all] { return P2pStatus(all->plugin); }; });

  CLI::App* reload = app.add_subcommand(
      "reload", "the plugin reads p2p.* and log_level of its configuration again");
  AddSocket(reload, &all->plugin);
  reload->callback([all] { all->action = [all] { return Reload(all->plugin); }; });
}

int Doctor(const DoctorOptions& options, bool json) {
  const Report report = RunDoctor(options);
  std::cout << (json ? report.Json() : report.Text());
  return report.exit_code();
}

void AddDoctor(CLI::App& app, Arguments* all) {
  CLI::App* doctor = app.add_subcommand(
      "doctor", "what is wrong with Eagle here, and the remedy; ends with 0 OK, 1 WARN, 2 FAIL");
  AddHost(doctor, &all->doctor.host);
  doctor->add_option("--plugin-config", all->doctor.plugin_config, "as seen below the root")
      ->capture_default_str();
  doctor->add_option("--sidecar-config", all->doctor.sidecar_config, "as seen below the root")
      ->capture_default_str();
  doctor->add_flag("--offline", all->doctor.offline, "ask nothing that runs: files only");
  AddOutput(doctor, &all->store.json);
  doctor->callback([all] { all->action = [all] { return Doctor(all->doctor, all->store.json); }; });
}

int Render(const HostOptions& where, const RenderOptions& options) {
  const auto rendered = RenderConfig(ContainerdHost::Look(where), options);
  if (!rendered.ok()) {
    std::cerr << "eaglectl: " << base::Message(rendered.status()) << '\n';
    return kFailed;
  }
  std::cout << rendered->text;
  std::cerr << fmt::format("It belongs into {}.\n{}", rendered->path, rendered->todo);
  return kDone;
}

void AddConfig(CLI::App& app, Arguments* all) {
  CLI::App* config = app.add_subcommand("config", "containerd's configuration for Eagle");
  config->require_subcommand(1);
  CLI::App* render =
      config->add_subcommand("render", "print containerd's drop-in for this host; writes nothing");
  render->add_option("--for", all->render.target, "which containerd")
      ->required()
      ->check(CLI::IsMember({"1.6", "1.7", "2.x", "k3s", "rke2"}));
  AddHost(render, &all->render_host);
  render->add_option("--socket", all->render.socket, "the plugin's socket")->capture_default_str();
  render->add_option("--snapshotter", all->render.snapshotter,
                     "that CRI uses (default: what containerd says)");
  render
      ->add_option("--config-version", all->render.config_version,
                   "of the main file (default: what is written in it)")
      ->check(CLI::Range(2, 4));
  render->add_flag_callback(
      "--no-apply", [all] { all->render.apply = false; }, "leave unpacking to containerd");
  render->callback(
      [all] { all->action = [all] { return Render(all->render_host, all->render); }; });
}

int Verify(const StoreCall& call, const std::string& rate_text) {
  const auto rate = base::ByteRate::Parse(rate_text);
  if (!rate.ok()) {
    std::cerr << "eaglectl: --rate: " << base::Message(rate.status()) << '\n';
    return kUsage;
  }
  // The lowest class of the disk's scheduler (ioprio_set(2): idle), as far as it has one.
  constexpr int kWhoProcess = 1;
  constexpr int kIdle = 3 << 13;
  (void)::syscall(SYS_ioprio_set, kWhoProcess, 0, kIdle);
  return StoreVerify(call, *rate);
}

void AddStore(CLI::App& app, Arguments* all) {
  CLI::App* store =
      app.add_subcommand("store", "the content store on disk, whether anything runs or not");
  store->require_subcommand(1);
  CLI::App* ls = store->add_subcommand("ls", "every blob");
  CLI::App* du = store->add_subcommand("du", "how much space blobs and uploads take");
  CLI::App* verify = store->add_subcommand(
      "verify", "hash every blob: rotted, truncated and misnamed ones end it with 1");
  verify->add_option("--rate", all->rate, "read no faster than this: 50MiB/s")
      ->capture_default_str();
  for (CLI::App* command : {ls, du, verify}) {
    command->add_option("--store", all->store.root, "content root")
        ->type_name("DIR")
        ->capture_default_str();
    AddOutput(command, &all->store.json);
  }
  ls->callback([all] { all->action = [all] { return StoreLs(all->store); }; });
  du->callback([all] { all->action = [all] { return StoreDu(all->store); }; });
  verify->callback([all] { all->action = [all] { return Verify(all->store, all->rate); }; });
}

void AddPreheat(CLI::App& app, Arguments* all) {
  CLI::App* preheat = app.add_subcommand(
      "preheat", "bring an image's layers into the swarm before nodes ask for them");
  PreheatCall* call = &all->preheat;
  preheat->add_option("image", call->image, "as in `ctr images pull`")->required();
  preheat->add_option("--platform", call->platforms,
                      "os/architecture[/variant], may be repeated (default: the seeder's own)");
  preheat->add_flag("--wait", call->wait, "until every layer is there, with progress");
  preheat->add_option("--seeder", call->address, "a seeder's admin address")->capture_default_str();
  AddOutput(preheat, &call->json);
  preheat->callback([all] { all->action = [all] { return Preheat(all->preheat); }; });
}

void AddSeeder(CLI::App& app, Arguments* all) {
  CLI::App* seeder = app.add_subcommand("seeder", "the layers on a seeder's disk");
  seeder->require_subcommand(1);
  CLI::App* ls = seeder->add_subcommand("ls", "every layer, the most recently used first");
  CLI::App* rm = seeder->add_subcommand("rm", "remove a layer; the next request fetches it again");
  CLI::App* pin = seeder->add_subcommand("pin", "keep a layer from eviction, over restarts");
  CLI::App* unpin = seeder->add_subcommand("unpin", "let a layer be evicted again");
  CLI::App* status = seeder->add_subcommand("status", "what the seeder holds and does");
  ls->add_option("digest", all->digest, "only those that begin so");
  rm->add_flag("--from-backend", all->seeder.from_backend, "also where the back end keeps it");
  for (CLI::App* command : {rm, pin, unpin}) {
    command->add_option("digest", all->digest, "sha256:...")->required();
  }
  for (CLI::App* command : {ls, rm, pin, unpin, status}) {
    command->add_option("--seeder", all->seeder.address, "its admin address")
        ->capture_default_str();
    AddOutput(command, &all->seeder.json);
  }
  ls->callback([all] { all->action = [all] { return SeederLs(all->seeder, all->digest); }; });
  rm->callback([all] { all->action = [all] { return SeederRm(all->seeder, all->digest); }; });
  pin->callback([all] { all->action = [all] { return SeederPin(all->seeder, all->digest); }; });
  unpin->callback([all] { all->action = [all] { return SeederUnpin(all->seeder, all->digest); }; });
  status->callback([all] { all->action = [all] { return SeederStatus(all->seeder); }; });
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  CLI::App app("Eagle on this node", "eaglectl");
  app.set_version_flag("--version", observe::VersionLine("eaglectl"));
  app.require_subcommand(1);
  Arguments all;
  AddP2p(app, &all);
  AddDoctor(app, &all);
  AddConfig(app, &all);
  AddStore(app, &all);
  AddPreheat(app, &all);
  AddSeeder(app, &all);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kDone : kUsage;
  }
  return all.action();
}

}  // namespace eagle::cli
