#include "plugin/self_check.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "api/plugin/plugin.grpc.pb.h"
#include "lib/observe/log.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"

namespace eagle::plugin {

std::string BoundPath(int fd) {
  sockaddr_un address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      address.sun_family != AF_UNIX) {
    return "";
  }
  return {address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path)};
}

absl::Status CallOwnSocket(const std::string& path, std::chrono::milliseconds patience) {
  if (::access(path.c_str(), F_OK) != 0) {
    observe::Error("socket_gone", "path", path, "remedy",
                   "restart what makes it: eagle-plugin.socket, else the plugin");
    return absl::OkStatus();
  }
  const auto stub = v1::Admin::NewStub(rpc::MakeChannel("unix:" + path));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  v1::GetStatusReply reply;
  return base::Annotate(rpc::FromGrpc(stub->GetStatus(&context, {}, &reply)),
                        "the plugin does not answer on its own socket");
}

}  // namespace eagle::plugin
