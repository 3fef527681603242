// The worker process; this program is its own worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/base/file.h"
#include "plugin/apply/apply_worker.h"
#include "plugin/apply/testing/layer_test.h"
#include "plugin/apply/testing/tar_builder.h"
#include "plugin/apply/worker_client.h"
#include "plugin/apply/worker_protocol.h"

namespace eagle::apply {
namespace {

using testing::Gzip;
using ::testing::HasSubstr;
using testing::TarBuilder;
namespace fs = std::filesystem;

constexpr char kMounted[] = "/proc/self/mountinfo";

class ApplyWorker : public testing::LayerTest {
 protected:
  ApplyWorker() { fs::create_directory(Path("mounts")); }

  absl::StatusOr<ApplyResult> Work(const std::string& blob, const std::vector<Mount>& mounts,
                                   const std::string& program = "/proc/self/exe") {
    std::ofstream(Path("blob"), std::ios::trunc) << blob;
    EAGLE_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenFile(Path("blob"), O_RDONLY));
    WorkerClient client({.program = program, .mount_root = Path("mounts")});
    return client.Apply({.mounts = mounts}, fd.get(), cancellation_);
  }
};

TEST_F(ApplyWorker, UnpacksAndAnswers) {
  const std::string tar = TarBuilder()
                              .Add({.name = "d/f", .data = "x", .mode = 04755, .uid = 1000})
                              .Add({.type = '3', .name = "c", .mode = 0600, .major = 1, .minor = 3})
                              .File("d/.wh.gone")
                              .File(".wh..wh..opq")
                              .Finish();
  const auto result = Work(Gzip(tar), Overlay());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->digest, base::Digest::Of(tar));
  EXPECT_EQ(result->size_bytes, static_cast<std::int64_t>(tar.size()));
  EXPECT_EQ(result->report.entries, 4);
  EXPECT_EQ(Mode(Upper("d/f")), S_IFREG | 04755U);
  EXPECT_TRUE(S_ISCHR(Mode(Upper("d/gone"))));
  EXPECT_EQ(Xattr(Path("upper"), "trusted.overlay.opaque"), "y");
}

TEST_F(ApplyWorker, MountsInANamespaceOfItsOwn) {
  const std::string before = base::ReadFile(kMounted).value();
  ASSERT_TRUE(Work(TarBuilder().File("a").Finish(), Bind()).ok());
  EXPECT_TRUE(Exists(Upper("a")));
  EXPECT_EQ(base::ReadFile(kMounted).value(), before);
  EXPECT_TRUE(fs::is_empty(Path("mounts"))) << "the mount point stayed";
}

TEST_F(ApplyWorker, ErrorsComeBackWithTheirCode) {
  const auto result = Work(TarBuilder().File("a").File("a/b").Finish(), Overlay());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(result.status())), HasSubstr("unpack \"a/b\""));
  EXPECT_EQ(Work("", {{"fuse3.x", "x"}}).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Work("", {{"nosuchfs", "x"}}).ok(), false);
  EXPECT_TRUE(fs::is_empty(Path("mounts")));
}

TEST_F(ApplyWorker, DeathOfTheWorkerIsAnErrorOfTheLayerOnly) {
  for (const char* program : {"/bin/true", "/bin/false", "/nonexistent"}) {
    const auto result = Work(TarBuilder().File("a").Finish(), Overlay(), program);
    EXPECT_FALSE(result.ok()) << program;
  }
  const auto died = Work(TarBuilder().File("a").Finish(), Overlay(), "/bin/false");
  EXPECT_EQ(died.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(base::Message(died.status())), HasSubstr("worker died"));
}

TEST_F(ApplyWorker, CancellationKillsItWhateverItDoes) {
  // A worker that never answers, and tells when it runs.
  ASSERT_EQ(::mkfifo(Path("started").c_str(), 0600), 0);
  std::ofstream(Path("hang")) << "#!/bin/sh\necho > " << Path("started") << "\nexec sleep 1000\n";
  fs::permissions(Path("hang"), fs::perms::owner_all);
  std::thread canceller([this] {
    std::string line;
    std::ifstream started(Path("started"));
    std::getline(started, line);
    cancellation_.Cancel();
  });
  const auto result = Work(TarBuilder().File("a").Finish(), Bind(), Path("hang"));
  canceller.join();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(fs::is_empty(Path("mounts")));
}

TEST_F(ApplyWorker, SeveralLayersAtOnce) {
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const std::string name = "layer" + std::to_string(i);
      const std::string upper = Path("upper/" + name);
      fs::create_directory(upper);
      std::ofstream(Path(name)) << Gzip(
          TarBuilder().File(name, std::string(100'000, 'x')).Finish());
      const auto fd = base::OpenFile(Path(name), O_RDONLY);
      WorkerClient client({.mount_root = Path("mounts")});
      const std::vector<Mount> mounts = {i % 2 == 0
                                             ? Mount{"bind", upper, "", {"rbind"}}
                                             : Mount{"overlay", "o", "", {"upperdir=" + upper}}};
      if (client.Apply({.mounts = mounts}, fd->get(), cancellation_).ok() &&
          Stat(upper + "/" + name)->st_size == 100'000) {
        ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 6);
}

TEST(WorkerProtocol, RequestsAndRepliesComeThrough) {
  WorkerRequest request;
  request.apply.compression = Compression::kNone;
  request.apply.sync_fs = true;
  request.apply.limits = {1, 2, 3, 4};
  request.apply.mounts = {{"overlay", "o", "t", {"a=b", "c"}}, {"bind", "/s", "", {}}};
  request.mount_point = "/mnt";
  const auto decoded = DecodeRequest(EncodeRequest(request));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(EncodeRequest(*decoded), EncodeRequest(request));
  EXPECT_EQ(decoded->apply.mounts[0].options, (std::vector<std::string>{"a=b", "c"}));
  EXPECT_EQ(decoded->apply.limits.max_entries, 4);

  const absl::Status error = absl::NotFoundError("no such thing");
  EXPECT_EQ(DecodeReply(EncodeReply(error)).status(), error);
}

TEST(WorkerProtocol, RepliesOfAWorkerGoneWrongAreInternalErrors) {
  ApplyResult result;
  result.size_bytes = 5;
  const std::string good = EncodeReply(result);
  ASSERT_TRUE(DecodeReply(good).ok());
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(DecodeReply(good.substr(0, size)).status().code(), absl::StatusCode::kInternal);
  }
  EXPECT_FALSE(DecodeReply(good + "x").ok());
  result.size_bytes = -1;
  EXPECT_FALSE(DecodeReply(EncodeReply(result)).ok());
  std::string code = EncodeReply(absl::AbortedError("x"));
  code[0] = 77;
  EXPECT_EQ(DecodeReply(code).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace eagle::apply

int main(int argc, char** argv) {
  if (const auto exit_code = eagle::apply::RunApplyWorker(argc, argv)) return *exit_code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
