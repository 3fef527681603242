#include "plugin/apply/diff_service.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "absl/synchronization/notification.h"
#include "lib/base/file.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/server.h"
#include "lib/testing/temp_dir.h"

namespace eagle::apply {
namespace {

using ::testing::HasSubstr;
namespace diff = containerd::services::diff::v1;

constexpr char kLayer[] = "application/vnd.oci.image.layer.v1.tar+gzip";

class OneBlob final : public BlobOpener {
 public:
  explicit OneBlob(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<base::UniqueFd> OpenBlob(const std::string& digest) override {
    if (digest != base::Digest::Of("blob").str()) return absl::NotFoundError("no such blob");
    return base::OpenFile(path_, O_RDONLY);
  }

 private:
  std::string path_;
};

// Answers what a test wants, and keeps what it was asked.
class FakeApplier final : public Applier {
 public:
  absl::StatusOr<ApplyResult> Apply(const ApplyRequest& request, int blob,
                                    const Cancellation& cancellation) override {
    asked_ = request;
    content_ = base::ReadAt(blob, 0, 100).value_or("");
    if (waits_) {
      started_.Notify();
      while (!cancellation.cancelled()) std::this_thread::yield();
      ended_.Notify();
      return cancellation.Check();
    }
    return answer_;
  }

  bool waits_ = false;
  absl::StatusOr<ApplyResult> answer_ = ApplyResult{base::Digest::Of("tar"), 12345, {}};
  ApplyRequest asked_;
  std::string content_;
  absl::Notification started_;
  absl::Notification ended_;
};

class DiffServiceTest : public ::testing::Test {
 protected:
  DiffServiceTest() : blobs_(dir_.path() + "/blob") {
    std::ofstream(dir_.path() + "/blob") << "blob";
    DiffServiceOptions options;
    options.limits.max_entries = 77;
    options.on_outcome = [this](const ApplyOutcome& outcome) { outcomes_.push_back(outcome); };
    service_ = std::make_unique<DiffService>(blobs_, applier_, std::move(options));
    const std::string address = "unix:" + dir_.path() + "/socket";
    server_ = rpc::Server::Start({.addresses = {address}}, {service_.get()}).value();
    stub_ = diff::Diff::NewStub(rpc::MakeChannel(address));
    request_.mutable_diff()->set_media_type(kLayer);
    request_.mutable_diff()->set_digest(base::Digest::Of("blob").str());
    request_.mutable_diff()->set_size(4);
    containerd::types::Mount& mount = *request_.add_mounts();
    mount.set_type("overlay");
    mount.set_source("overlay");
    mount.add_options("upperdir=/u");
    mount.add_options("lowerdir=/l");
  }

  grpc::Status Apply() {
    grpc::ClientContext context;
    return stub_->Apply(&context, request_, &response_);
  }

  eagle::testing::TempDir dir_;
  OneBlob blobs_;
  FakeApplier applier_;
  std::vector<ApplyOutcome> outcomes_;
  std::unique_ptr<DiffService> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<diff::Diff::Stub> stub_;
  diff::ApplyRequest request_;
  diff::ApplyResponse response_;
};

TEST_F(DiffServiceTest, ApplyAnswersTheDescriptorOfTheUncompressedLayer) {
  request_.set_sync_fs(true);
  const grpc::Status status = Apply();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response_.applied().media_type(), "application/vnd.oci.image.layer.v1.tar");
  EXPECT_EQ(response_.applied().digest(), base::Digest::Of("tar").str());
  EXPECT_EQ(response_.applied().size(), 12345);
  EXPECT_EQ(applier_.content_, "blob");
  EXPECT_TRUE(applier_.asked_.sync_fs);
  EXPECT_EQ(applier_.asked_.compression, Compression::kDetect);
  EXPECT_EQ(applier_.asked_.limits.max_entries, 77);
  ASSERT_EQ(applier_.asked_.mounts.size(), 1U);
  EXPECT_EQ(applier_.asked_.mounts[0].type, "overlay");
  EXPECT_EQ(applier_.asked_.mounts[0].options,
            (std::vector<std::string>{"upperdir=/u", "lowerdir=/l"}));
  server_.reset();
  ASSERT_EQ(outcomes_.size(), 1U);
  EXPECT_TRUE(outcomes_[0].status.ok());
  EXPECT_EQ(outcomes_[0].compressed_bytes, 4);
  EXPECT_EQ(outcomes_[0].result.size_bytes, 12345);
}

TEST_F(DiffServiceTest, UnknownTypesAndPayloadsAreUnimplementedAndNeverReachTheMounts) {
  request_.mutable_diff()->set_media_type("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
  EXPECT_EQ(Apply().error_code(), grpc::StatusCode::UNIMPLEMENTED);
  request_.mutable_diff()->set_media_type(kLayer);
  (*request_.mutable_payloads())["decrypt"].set_value("key");
  EXPECT_EQ(Apply().error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(applier_.asked_.mounts.empty());
}

TEST_F(DiffServiceTest, DiffIsUnimplemented) {
  grpc::ClientContext context;
  diff::DiffResponse response;
  EXPECT_EQ(stub_->Diff(&context, {}, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(DiffServiceTest, BlobThatIsNotThereIsNotFound) {
  request_.mutable_diff()->set_digest(base::Digest::Of("other").str());
  const grpc::Status status = Apply();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr(base::Digest::Of("other").str()));
}

TEST_F(DiffServiceTest, ErrorsOfTheApplierComeWithTheirCode) {
  applier_.answer_ = absl::ResourceExhaustedError("too large");
  const grpc::Status status = Apply();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("too large"));
}

TEST_F(DiffServiceTest, CancelledCallCancelsItsApply) {
  applier_.waits_ = true;
  grpc::ClientContext context;
  std::thread canceller([&] {
    applier_.started_.WaitForNotification();
    context.TryCancel();
  });
  diff::ApplyResponse response;
  EXPECT_EQ(stub_->Apply(&context, request_, &response).error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(applier_.ended_.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

}  // namespace
}  // namespace eagle::apply
