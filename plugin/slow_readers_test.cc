#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "api/content/content.grpc.pb.h"
#include "lib/base/file.h"
#include "lib/rpc/channel.h"
#include "lib/testing/temp_dir.h"
#include "plugin/testing/plugin_process.h"

// The memory and the messages of reads, at the real binary.
namespace eagle::plugin {
namespace {

namespace api = containerd::services::content::v1;

constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kMaxMessageBytes = 1 << 20;
constexpr int kReaders = 200;
// For each reader a message and its encoding, and what HTTP/2 has in flight: far from what is read.
constexpr std::int64_t kMaxGrowthKiB = 400 * 1024;

class SlowReaders : public ::testing::Test {
 protected:
  SlowReaders() {
    testing::WriteConfig(dir_.path(), dir_.path(), "info");
    process_ = std::make_unique<testing::Process>(
        std::vector<std::string>{"--config", dir_.path() + "/plugin.yaml"},
        // Its log comes with its output.
        [] { ::dup2(STDOUT_FILENO, STDERR_FILENO); });
    stub_ = api::Content::NewStub(rpc::MakeChannel("unix:" + dir_.path() + "/plugin.sock"));
  }

  struct Reader {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<api::ReadContentResponse>> stream;
  };
  std::unique_ptr<Reader> Read(const std::string& digest, std::int64_t size) {
    auto reader = std::make_unique<Reader>();
    reader->context.set_wait_for_ready(true);
    reader->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    api::ReadContentRequest request;
    request.set_digest(digest);
    request.set_size(size);
    reader->stream = stub_->Read(&reader->context, request);
    return reader;
  }
  // A blob of zeros that takes no room.
  [[nodiscard]] std::string AddSparse(char name, std::int64_t size) const {
    const std::string hex(64, name);
    const std::string path = dir_.path() + "/content/blobs/sha256/" + hex;
    std::ofstream(path).flush();
    EXPECT_EQ(::truncate(path.c_str(), size), 0);
    return "sha256:" + hex;
  }
  // From /proc, such as "VmRSS".
  [[nodiscard]] std::int64_t StatusKiB(const std::string& field) const {
    std::ifstream status(fmt::format("/proc/{}/status", process_->pid()));
    for (std::string line; std::getline(status, line);) {
      if (line.rfind(field + ":", 0) == 0) return std::stoll(line.substr(field.size() + 1));
    }
    return -1;
  }
  void AwaitStart() {
    api::InfoRequest request;
    request.set_digest("sha256:" + std::string(64, '0'));
    api::InfoResponse response;
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    EXPECT_EQ(stub_->Info(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  }

  eagle::testing::TempDir dir_;
  std::unique_ptr<testing::Process> process_;
  std::unique_ptr<api::Content::Stub> stub_;
};

TEST_F(SlowReaders, AreMadeToWaitInsteadOfBeingBufferedFor) {
  AwaitStart();
  const std::string digests[] = {AddSparse('a', kGiB), AddSparse('b', kGiB)};
  const std::int64_t before = StatusKiB("VmRSS");
  ASSERT_GT(before, 0);
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < kReaders; ++i) readers.push_back(Read(digests[i % 2], 0));
  // Everybody gets something, twice over, and then nobody takes anything for a while.
  api::ReadContentResponse chunk;
  for (int round = 0; round < 2; ++round) {
    for (const auto& reader : readers) {
      ASSERT_TRUE(reader->stream->Read(&chunk));
      EXPECT_LE(static_cast<std::int64_t>(chunk.data().size()), kMaxMessageBytes);
    }
  }
  const std::int64_t peak = StatusKiB("VmHWM");
  EXPECT_LT(peak - before, kMaxGrowthKiB);
  fmt::print("{} slow readers: {} MiB before, {} MiB at most\n", kReaders, before / 1024,
             peak / 1024);
  // Nor do they keep anybody else waiting.
  const auto another = Read(digests[0], 32'768);
  EXPECT_TRUE(another->stream->Read(&chunk));
  EXPECT_EQ(chunk.data().size(), 32'768U);
  for (const auto& reader : readers) reader->context.TryCancel();
  for (const auto& reader : readers) {
    while (reader->stream->Read(&chunk)) {
    }
    reader->stream->Finish();
  }
}

TEST_F(SlowReaders, AReadOfContainerdsIsOneMessageAndNoLine) {
  AwaitStart();
  const std::string digest = AddSparse('c', 3 * kMaxMessageBytes);
  api::ReadContentResponse chunk;
  for (int i = 0; i < 100; ++i) {
    const auto reader = Read(digest, 32'768);
    ASSERT_TRUE(reader->stream->Read(&chunk));
    EXPECT_EQ(chunk.data().size(), 32'768U);
    EXPECT_FALSE(reader->stream->Read(&chunk));
    EXPECT_TRUE(reader->stream->Finish().ok());
  }
  EXPECT_EQ(process_->Signal(SIGTERM), 0);
  // It has said that it starts and that it stops.
  const std::string output = process_->Output();
  EXPECT_LT(std::count(output.begin(), output.end(), '\n'), 20) << output;
}

}  // namespace
}  // namespace eagle::plugin
