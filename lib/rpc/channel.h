#pragma once

#include <memory>
#include <string>

namespace grpc {
class Channel;
}

namespace eagle::rpc {

/// A channel to "unix:/path" or "host:port". Lazy: nothing is dialled before the first call.
/// Reconnects within a second once the server is back, ignores proxies of the environment, notices
/// a dead peer within about 20 s by keep-alive, and never shares a connection with another channel.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

}  // namespace eagle::rpc
