#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/synchronization/mutex.h"
#include "api/seeder/seeder.grpc.pb.h"
#include "cli/run_program.h"
#include "lib/rpc/server.h"
#include "lib/testing/temp_dir.h"

// The real eaglectl, and a seeder that says what it is told to.
namespace eagle::cli {
namespace {

namespace api = eagle::seeder::v1;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class FakeSeeder final : public api::Seeder::Service {
 public:
  grpc::Status Preheat(grpc::ServerContext*, const api::PreheatRequest* request,
                       grpc::ServerWriter<api::PreheatProgress>* writer) override {
    {
      const absl::MutexLock held(&mutex_);
      asked_ = *request;
    }
    api::PreheatProgress progress;
    progress.set_image("registry.lab/app:1");
    writer->Write(progress);
    if (!request->wait()) return grpc::Status::OK;
    progress.set_state(api::PreheatProgress::RUNNING);
    progress.set_layers_total(2);
    progress.set_bytes_total(4 << 20);
    progress.set_layers_done(1);
    progress.set_bytes_done(1 << 20);
    writer->Write(progress);
    if (request->image() == "bad") return {grpc::StatusCode::NOT_FOUND, "no such manifest"};
    progress.set_state(api::PreheatProgress::DONE);
    progress.set_layers_done(2);
    progress.set_bytes_done(4 << 20);
    writer->Write(progress);
    return grpc::Status::OK;
  }
  grpc::Status RemoveLayer(grpc::ServerContext*, const api::RemoveLayerRequest* request,
                           api::RemoveLayerReply*) override {
    if (!request->from_backend()) return grpc::Status::OK;
    return {grpc::StatusCode::FAILED_PRECONDITION, request->digest() + " is pinned"};
  }

  api::PreheatRequest asked() {
    const absl::MutexLock held(&mutex_);
    return asked_;
  }

 private:
  absl::Mutex mutex_;
  api::PreheatRequest asked_ ABSL_GUARDED_BY(mutex_);
};

class EaglectlSeeder : public ::testing::Test {
 protected:
  EaglectlSeeder() {
    rpc::ServerOptions options;
    options.addresses = {address_};
    auto server = rpc::Server::Start(std::move(options), {&seeder_});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static ProgramOutput RunIt(const std::vector<std::string>& arguments) {
    auto output = RunProgram(arguments, "/", std::chrono::seconds(60));
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? *output : ProgramOutput();
  }
  ProgramOutput Ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), EAGLE_BIN_DIR "/eaglectl");
    arguments.insert(arguments.end(), {"--seeder", address_});
    return RunIt(arguments);
  }

  testing::TempDir dir_;
  const std::string address_ = "unix:" + dir_.path() + "/admin.sock";
  FakeSeeder seeder_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(EaglectlSeeder, PreheatQueuesOrWaits) {
  const ProgramOutput queued = Ask({"preheat", "app:1"});
  EXPECT_EQ(queued.exit_code, 0) << queued.error;
  EXPECT_EQ(queued.out, "registry.lab/app:1: queued\n");
  EXPECT_FALSE(seeder_.asked().wait());
  const ProgramOutput waited =
      Ask({"preheat", "app:1", "--wait", "--platform", "linux/amd64", "--platform", "linux/arm64"});
  EXPECT_EQ(waited.exit_code, 0) << waited.error;
  EXPECT_EQ(waited.out,
            "registry.lab/app:1: queued\n"
            "registry.lab/app:1: 1 of 2 layers, 1.0 of 4.0 MiB\n"
            "registry.lab/app:1: done, 2 of 2 layers, 4.0 of 4.0 MiB\n");
  EXPECT_EQ(seeder_.asked().platforms_size(), 2);
  const ProgramOutput json = Ask({"preheat", "app:1", "--wait", "-o", "json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["state"], "DONE");
}

TEST_F(EaglectlSeeder, PreheatShowsABarOnATerminal) {
  const ProgramOutput output =
      RunIt({"/usr/bin/script", "-qec",
             fmt::format("{}/eaglectl preheat app:1 --wait --seeder {}", EAGLE_BIN_DIR, address_),
             "/dev/null"});
  EXPECT_EQ(output.exit_code, 0) << output.error;
  EXPECT_THAT(output.out, AllOf(HasSubstr("\r[#######                       ] 1 of 2 layers"),
                                HasSubstr("\r[##############################] 2 of 2 layers"),
                                Not(HasSubstr("registry.lab/app:1:"))));
}

TEST_F(EaglectlSeeder, AFailureEndsWith1AndItsReason) {
  const ProgramOutput bad = Ask({"preheat", "bad", "--wait"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.error, "eaglectl: no such manifest\n");
  EXPECT_EQ(Ask({"seeder", "rm", "sha256:ab"}).out, "sha256:ab: removed\n");
  const ProgramOutput pinned = Ask({"seeder", "rm", "sha256:ab", "--from-backend"});
  EXPECT_EQ(pinned.exit_code, 1);
  EXPECT_THAT(pinned.error, HasSubstr("sha256:ab is pinned"));
  server_.reset();
  const ProgramOutput nobody = Ask({"seeder", "status"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.error, HasSubstr("asked at " + address_));
}

}  // namespace
}  // namespace eagle::cli
