#include "plugin/apply/worker_protocol.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>

namespace eagle::apply {
namespace {

class Writer {
 public:
  template <typename T>
  void Number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Text(std::string_view text) {
    Number(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Reads what Writer wrote; after a first failure everything is empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool complete() const { return ok_ && bytes_.empty(); }

  template <typename T>
  T Number() {
    T value{};
    const std::string_view part = Part(sizeof value);
    if (ok_) std::memcpy(&value, part.data(), sizeof value);
    return value;
  }
  std::string Text() { return std::string(Part(Number<std::uint32_t>())); }

 private:
  std::string_view Part(std::size_t size) {
    if (size > bytes_.size()) ok_ = false;
    if (!ok_) return {};
    const std::string_view part = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return part;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace

std::string EncodeRequest(const WorkerRequest& request) {
  Writer writer;
  writer.Number(static_cast<std::uint8_t>(request.apply.compression == Compression::kDetect));
  writer.Number(static_cast<std::uint8_t>(request.apply.sync_fs));
  writer.Number(request.apply.limits.max_uncompressed_bytes);
  writer.Number(request.apply.limits.max_ratio);
  writer.Number(request.apply.limits.ratio_free_bytes);
  writer.Number(request.apply.limits.max_entries);
  writer.Text(request.mount_point);
  for (const Mount& mount : request.apply.mounts) {
    writer.Number(std::uint8_t{1});
    writer.Text(mount.type);
    writer.Text(mount.source);
    writer.Text(mount.target);
    for (const std::string& option : mount.options) {
      writer.Number(std::uint8_t{1});
      writer.Text(option);
    }
    writer.Number(std::uint8_t{0});
  }
  writer.Number(std::uint8_t{0});
  return writer.Take();
}

absl::StatusOr<WorkerRequest> DecodeRequest(std::string_view bytes) {
  Reader reader(bytes);
  WorkerRequest request;
  request.apply.compression =
      reader.Number<std::uint8_t>() != 0 ? Compression::kDetect : Compression::kNone;
  request.apply.sync_fs = reader.Number<std::uint8_t>() != 0;
  request.apply.limits.max_uncompressed_bytes = reader.Number<std::int64_t>();
  request.apply.limits.max_ratio = reader.Number<std::int64_t>();
  request.apply.limits.ratio_free_bytes = reader.Number<std::int64_t>();
  request.apply.limits.max_entries = reader.Number<std::int64_t>();
  request.mount_point = reader.Text();
  while (reader.Number<std::uint8_t>() != 0) {
    Mount mount;
    mount.type = reader.Text();
    mount.source = reader.Text();
    mount.target = reader.Text();
    while (reader.Number<std::uint8_t>() != 0) mount.options.push_back(reader.Text());
    request.apply.mounts.push_back(std::move(mount));
  }
  if (!reader.complete()) return absl::InternalError("the request of the worker is malformed");
  return request;
}

std::string EncodeReply(const absl::StatusOr<ApplyResult>& result) {
  Writer writer;
  writer.Number(static_cast<std::int32_t>(result.status().code()));
  if (!result.ok()) {
    constexpr std::size_t kMostText = 4096;
    writer.Text(base::Message(result.status()).substr(0, kMostText));
    return writer.Take();
  }
  for (const std::uint8_t byte : result->digest.bytes()) writer.Number(byte);
  writer.Number(result->size_bytes);
  writer.Number(result->report.entries);
  writer.Number(result->report.ignored_xattrs);
  writer.Number(result->report.skipped_devices);
  return writer.Take();
}

absl::StatusOr<ApplyResult> DecodeReply(std::string_view bytes) {
  const absl::Status malformed = absl::InternalError("the reply of the apply worker is malformed");
  Reader reader(bytes);
  const auto code = reader.Number<std::int32_t>();
  if (code != 0) {
    const std::string text = reader.Text();
    if (!reader.complete() || code < 0 ||
        code > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
      return malformed;
    }
    return absl::Status(static_cast<absl::StatusCode>(code), text);
  }
  ApplyResult result;
  base::Digest::Bytes digest{};
  for (std::uint8_t& byte : digest) byte = reader.Number<std::uint8_t>();
  result.digest = base::Digest(digest);
  result.size_bytes = reader.Number<std::int64_t>();
  result.report.entries = reader.Number<std::int64_t>();
  result.report.ignored_xattrs = reader.Number<std::int64_t>();
  result.report.skipped_devices = reader.Number<std::int64_t>();
  if (!reader.complete() || result.size_bytes < 0) return malformed;
  return result;
}

absl::Status SendMessage(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return absl::UnavailableError("the peer of the apply socket is gone");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  ::shutdown(socket, SHUT_WR);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReceiveMessage(int socket, std::size_t most,
                                           const Cancellation& cancellation) {
  std::string bytes;
  std::array<char, 4096> part;
  while (true) {
    std::array<pollfd, 2> polled{{{socket, POLLIN, 0}, {cancellation.fd(), POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      return base::ErrnoError(errno, "poll");
    }
    EAGLE_RETURN_IF_ERROR(cancellation.Check());
    if (polled[0].revents == 0) continue;
    const ssize_t got = ::recv(socket, part.data(), part.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // A peer that died with unread input resets the connection.
    if (got <= 0) return bytes;
    bytes.append(part.data(), static_cast<std::size_t>(got));
    if (bytes.size() > most) {
      return absl::ResourceExhaustedError("a message on the apply socket is too long");
    }
  }
}

}  // namespace eagle::apply
