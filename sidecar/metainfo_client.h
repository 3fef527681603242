#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace eagle::sidecar {

/// Asks seeders for torrents (api/metainfo). A seam: the logic that uses it is tested without gRPC.
class MetainfoClient {
 public:
  struct Message {
    std::int64_t bytes_fetched = 0;
    /// "" in all but the last message.
    std::string metainfo;
    /// "ip:port" of seeders that hold the layer.
    std::vector<std::string> peers;
  };
  /// Called on any thread, one call after the other: messages, then one end, also after Cancel().
  struct Listener {
    std::function<void(Message)> message;
    std::function<void(absl::Status)> end;
  };
  class Call {
   public:
    virtual ~Call() = default;
    virtual void Cancel() = 0;
    /// Whether there is a connection to the seeder.
    [[nodiscard]] virtual bool Connected() const = 0;
  };

  virtual ~MetainfoClient() = default;
  /// WatchMetaInfo of `url` at the seeder of this index. Never blocks.
  virtual std::shared_ptr<Call> Watch(std::size_t seeder, const std::string& url,
                                      Listener listener) = 0;
  /// Whether there is a connection to this seeder. Begins to make one when there is none.
  [[nodiscard]] virtual bool Reachable(std::size_t seeder) = 0;
};

}  // namespace eagle::sidecar
