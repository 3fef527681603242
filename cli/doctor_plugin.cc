#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/plugin/plugin.grpc.pb.h"
#include "cli/doctor.h"
#include "lib/base/file.h"
#include "lib/observe/build_info.h"
#include "lib/rpc/channel.h"

namespace eagle::cli {
namespace {

constexpr std::chrono::seconds kPatience{2};
constexpr const char* kDisabledMark = "/etc/eagle/disabled";

bool AnyExists(const ContainerdHost& host, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (::access(host.At(path).c_str(), F_OK) == 0) return true;
  }
  return false;
}

std::vector<std::string> UnitPaths(const std::string& name) {
  return {"/etc/systemd/system/" + name, "/usr/lib/systemd/system/" + name,
          "/lib/systemd/system/" + name};
}

bool CheckSocketFile(const Patient& patient, const std::string& path, Report* report) {
  struct stat info {};
  if (::lstat(patient.host.At(path).c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) {
    const std::string remedy = "systemctl start eagle-plugin.socket eagle-plugin.service";
    const std::string message = path + " is no socket: nothing listens there";
    patient.eagle_configured
        ? report->Fail("plugin-socket", message + ", and every pull hangs", remedy)
        : report->Warn("plugin-socket", message, remedy);
    return false;
  }
  if ((info.st_mode & 0077) != 0 || info.st_uid != 0) {
    report->Fail("plugin-socket",
                 fmt::format("{} has mode {:04o} and owner {}: others may write to the store", path,
                             info.st_mode & 07777, info.st_uid),
                 "SocketMode=0600 in eagle-plugin.socket, and restart it");
  }
  return true;
}

void CheckP2p(const eagle::plugin::v1::P2pState& state, Report* report) {
  const std::string check = "p2p";
  if (state.enabled()) {
    report->Ok(check, "on");
  } else if (!state.switched_on()) {
    report->Warn(check,
                 fmt::format("switched off since {}{}{}", state.off_since(),
                             state.off_reason().empty() ? "" : ": ", state.off_reason()),
                 "eaglectl p2p on");
  } else {
    report->Warn(check, "off by the plugin's configuration",
                 state.configured() ? "name a cache_dir and restart the plugin"
                                    : "p2p.enabled: true, and eaglectl reload");
  }
}

}  // namespace

void CheckInstallation(const Patient& patient, Report* report) {
  const ContainerdHost& host = patient.host;
  if (const auto mark = base::ReadFile(host.At(kDisabledMark), 4096); mark.ok()) {
    report->Warn("disabled",
                 fmt::format("{} is there: {}", kDisabledMark, mark->substr(0, mark->find('\n'))),
                 fmt::format("mend the cause, then: rm {}; systemctl start eagle-plugin.socket "
                             "eagle-plugin; systemctl restart containerd",
                             kDisabledMark));
  }
  std::string missing;
  for (const char* unit :
       {"eagle-plugin.socket", "eagle-plugin.service", "eagle-fallback.service"}) {
    if (!AnyExists(host, UnitPaths(unit))) missing += fmt::format(" {}", unit);
  }
  bool drop_in = false;
  for (const std::string& unit : host.flavor().units) {
    drop_in = drop_in || AnyExists(host, UnitPaths(unit + ".d/50-eagle.conf"));
  }
  if (!drop_in) missing += fmt::format(" {}.d/50-eagle.conf", host.flavor().units.front());
  if (!AnyExists(host, {"/etc/eagle/guard.sh"})) missing += " /etc/eagle/guard.sh";
  if (missing.empty()) {
    report->Ok("units", "socket, service, fallback, guard and containerd's drop-in are there");
  } else {
    report->Warn("units", "not there:" + missing,
                 "install packaging/systemd as docs/install.md says; without them a plugin that is "
                 "gone makes pulls hang");
  }
}

void CheckPlugin(const Patient& patient, Report* report) {
  const std::string path = UnixPath(patient.plugin.listen);
  if (!CheckSocketFile(patient, path, report)) return;
  if (::geteuid() != 0) {
    report->Warn("plugin-socket", path + " answers root only", "run eaglectl doctor as root");
    return;
  }
  const auto stub =
      eagle::plugin::v1::Admin::NewStub(rpc::MakeChannel("unix:" + patient.host.At(path)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  eagle::plugin::v1::GetStatusReply reply;
  const grpc::Status status = stub->GetStatus(&context, {}, &reply);
  if (!status.ok()) {
    report->Fail("plugin-socket",
                 fmt::format("{} does not answer within {} s: {}", path, kPatience.count(),
                             status.error_message()),
                 "systemctl status eagle-plugin; journalctl -u eagle-plugin");
    return;
  }
  report->Ok("plugin-socket", fmt::format("{}, plugin {}", path, reply.version()));
  if (reply.version() != observe::Version()) {
    report->Warn("plugin-version",
                 fmt::format("the plugin is {}, eaglectl {}", reply.version(), observe::Version()),
                 "finish the upgrade: systemctl restart eagle-plugin");
  }
  CheckP2p(reply.p2p(), report);
}

}  // namespace eagle::cli
