#include "lib/rpc/channel.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include "lib/rpc/server.h"

namespace eagle::rpc {

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  // Never balanced: when gRPC's last user goes, it waits up to 10 s for a poller of its own.
  grpc_init();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // In spite of its name the time that one attempt to connect may take (handshake included), not a
  // pause: too little, and a busy host looks like a dead one.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace eagle::rpc
