#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::ssi {

/// What a back end knows of a layer without reading it.
struct LayerInfo {
  std::string id;
  std::int64_t size_bytes = 0;
};

/// Takes a layer's bytes in order. Used by one thread at a time. Destroyed without Commit(), or
/// when the process dies, nothing of the layer is ever seen.
class Upload {
 public:
  virtual ~Upload() = default;
  /// May block on the back end; any size.
  virtual absl::Status Write(std::string_view data) = 0;
  /// The layer is there from now on, with its torrent: whole, durable, and instead of an older one
  /// of the same id. INVALID_ARGUMENT when not exactly the announced size was written. Once.
  virtual absl::Status Commit() = 0;
};

/// The Seeder Storage Interface: where layers are kept for good, under the disk that the seeder
/// works on. README.md tells how to write one; every back end runs the suite in backend_contract.h.
///
/// Thread-safe: any method from any thread, on the same layer too. All may block. Data streams: no
/// back end may hold more of a layer in memory than a fixed amount. Errors: NOT_FOUND,
/// RESOURCE_EXHAUSTED (no room), PERMISSION_DENIED, CANCELLED (after Stop()), UNAVAILABLE (all
/// else; the caller may try again). Messages name what to do and hold no secrets.
///
/// An id is 1 to 128 characters of [a-z0-9._-] that begin with a letter or digit: the hex digits of
/// a layer's digest. A back end need not check that.
class Backend {
 public:
  virtual ~Backend() = default;

  /// Begins a layer of that size (0 is allowed) with its torrent, which is any bytes up to 16 MiB.
  /// Fails early where it can; nothing is seen before Commit().
  virtual absl::StatusOr<std::unique_ptr<Upload>> Create(const std::string& id,
                                                         std::int64_t size_bytes,
                                                         const std::string& metainfo) = 0;
  virtual absl::StatusOr<LayerInfo> Stat(const std::string& id) = 0;
  /// The torrent of a layer that is there.
  virtual absl::StatusOr<std::string> Metainfo(const std::string& id) = 0;
  /// Replaces it, at once and whole.
  virtual absl::Status SetMetainfo(const std::string& id, const std::string& metainfo) = 0;

  /// Takes bytes in order; an error ends the download, which then returns it.
  using Sink = std::function<absl::Status(std::string_view)>;
  /// `size_bytes` from `offset` on, fewer only where the layer ends. The sink is called on this
  /// thread. What has reached the sink is the layer's even when the download fails later.
  virtual absl::Status Download(const std::string& id, std::int64_t offset, std::int64_t size_bytes,
                                const Sink& sink) = 0;

  /// Data and torrent. No such layer is no error.
  virtual absl::Status Delete(const std::string& id) = 0;

  /// False ends the list.
  using Visitor = std::function<bool(const LayerInfo&)>;
  /// Every layer whose id begins with `prefix`, in any order. One that comes or goes meanwhile may
  /// be in it or not. The visitor must not call the back end.
  virtual absl::Status List(const std::string& prefix, const Visitor& visitor) = 0;

  /// Where the bytes and the torrent are or would be, for people: a path or a URL without secrets.
  [[nodiscard]] virtual std::string DataLocation(const std::string& id) = 0;
  [[nodiscard]] virtual std::string TorrentLocation(const std::string& id) = 0;

  /// Ends what blocks, with CANCELLED, now and later. Called before the destructor, once.
  virtual void Stop() {}
};

}  // namespace eagle::ssi
