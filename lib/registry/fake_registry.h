#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/base/unique_fd.h"

namespace eagle::registry {

struct FakeRequest {
  std::string target;
  /// "" without a Range header.
  std::string range;
  /// Head of the request as it came.
  std::string head;
  /// "GET", "POST", ...
  std::string method;
  std::string body;

  /// First byte of "bytes=<first>-"; 0 without a range.
  [[nodiscard]] std::int64_t first() const;
  /// Last byte of "bytes=<first>-<last>"; `size` - 1 when it is open.
  [[nodiscard]] std::int64_t last(std::size_t size) const;
  /// "" when there is no such header; `name` as curl writes it.
  [[nodiscard]] std::string header(const std::string& name) const;
};

struct FakeReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  /// What Content-Length claims; by default the body's length.
  std::optional<std::int64_t> content_length;
  bool chunked = false;
  /// The connection ends after so many bytes of the body.
  std::optional<std::size_t> cut_after;
  /// What was not cut is sent, then nothing more comes and the connection stays open.
  bool hang = false;
  /// Nothing is sent at all.
  bool silent = false;

  /// `blob` from `request`'s range on, answered with 206 when there is one.
  static FakeReply Of(const std::string& blob, const FakeRequest& request);
};

/// An HTTP server for tests on 127.0.0.1 that misbehaves on demand. One thread a connection, one
/// request a connection.
class FakeRegistry {
 public:
  /// Called for each request, on its connection's thread.
  using Handler = std::function<FakeReply(const FakeRequest&)>;

  explicit FakeRegistry(Handler handler);
  ~FakeRegistry();
  FakeRegistry(const FakeRegistry&) = delete;
  FakeRegistry& operator=(const FakeRegistry&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// "http://127.0.0.1:<port>"
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::vector<FakeRequest> requests() const;

 private:
  void Accept();
  void Serve(int fd);
  void Send(int fd, const FakeReply& reply);

  const Handler handler_;
  base::UniqueFd listener_;
  std::uint16_t port_ = 0;
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<FakeRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::list<base::UniqueFd> connections_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace eagle::registry
