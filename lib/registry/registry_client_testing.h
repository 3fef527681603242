#pragma once

// What the tests of the registry client share.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/registry/fake_registry.h"
#include "lib/registry/registry_client.h"
#include "lib/testing/fake_clock.h"

namespace eagle::registry {

using std::chrono::milliseconds;

class StringSink final : public BlobSink {
 public:
  absl::Status Begin(std::int64_t size_bytes) override {
    ++begins;
    size = size_bytes;
    return begin_status;
  }
  absl::Status Write(std::string_view data) override {
    content += data;
    if (written != nullptr) *written = true;
    if (content.size() > fail_after) return absl::ResourceExhaustedError("disk full");
    return write_status;
  }

  int begins = 0;
  std::int64_t size = 0;
  std::string content;
  absl::Status begin_status;
  absl::Status write_status;
  std::atomic<bool>* written = nullptr;
  std::size_t fail_after = SIZE_MAX;
};

inline std::string Blob(std::size_t size) {
  std::string blob(size, '\0');
  for (std::size_t i = 0; i < size; ++i) blob[i] = static_cast<char>((i * 7 + i / 251) % 256);
  return blob;
}

inline FakeReply Redirect(const std::string& location, int status = 307) {
  FakeReply reply;
  reply.status = status;
  reply.headers.emplace_back("Location", location);
  reply.body = "this is not the layer";
  return reply;
}

class RegistryClientTest : public ::testing::Test {
 protected:
  void Serve(FakeRegistry::Handler handler) {
    registry_ = std::make_unique<FakeRegistry>(std::move(handler));
    origin_.endpoint = *HttpUrl::Parse(registry_->url());
  }

  /// With the options as they are at the first call.
  absl::Status Fetch() {
    if (client_ == nullptr) client_ = std::make_unique<Client>(options_, proxies_, clock_);
    return client_->FetchBlob(origin_, {repositories_, base::Digest::Of(blob_), size_bytes_}, sink_,
                              cancellation_);
  }
  // The error's text, after having checked its code.
  std::string FetchError(absl::StatusCode code) {
    const absl::Status status = Fetch();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(base::Message(status));
  }
  // The same server under the name of another host.
  [[nodiscard]] std::string OtherHost(const std::string& target) const {
    return fmt::format("http://127.0.0.2:{}{}", registry_->port(), target);
  }

  const std::string blob_ = Blob(3 << 20);
  Origin origin_;
  ClientOptions options_{
      .connect_timeout = milliseconds(5000),
      .stall_timeout = milliseconds(5000),
      .retries = {.attempts = 3, .delay = milliseconds(1), .max_delay = milliseconds(20)}};
  std::vector<std::string> repositories_{"library/app"};
  std::optional<std::int64_t> size_bytes_;
  Proxies proxies_;
  testing::FakeClock clock_;
  StringSink sink_;
  Cancellation cancellation_;
  std::unique_ptr<FakeRegistry> registry_;
  std::unique_ptr<Client> client_;
};

}  // namespace eagle::registry
