#include "plugin/apply/testing/containerd_oracle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "api/content/content.grpc.pb.h"
#include "api/diff/diff.grpc.pb.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/status.h"

namespace eagle::apply::testing {
namespace {

namespace content = containerd::services::content::v1;
namespace diff = containerd::services::diff::v1;

constexpr std::string_view kConfig = R"(version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{0}/socket"
[ttrpc]
  address = "{0}/ttrpc"
)";

std::string FindContainerd() {
  if (const char* named = std::getenv("EAGLE_CONTAINERD")) return named;
  for (const char* path : {EAGLE_SOURCE_DIR "/build/tools/containerd", "/usr/bin/containerd"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return "";
}

void Prepare(grpc::ClientContext* context) {
  context->AddMetadata("containerd-namespace", "default");
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
}

}  // namespace

struct ContainerdOracle::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : content(content::Content::NewStub(channel)), diff(diff::Diff::NewStub(channel)) {}

  std::unique_ptr<content::Content::Stub> content;
  std::unique_ptr<diff::Diff::Stub> diff;
};

ContainerdOracle::ContainerdOracle() = default;

absl::StatusOr<std::unique_ptr<ContainerdOracle>> ContainerdOracle::Start() {
  std::unique_ptr<ContainerdOracle> oracle(new ContainerdOracle);
  oracle->program_ = FindContainerd();
  if (oracle->program_.empty()) return absl::UnavailableError("no containerd here");
  EAGLE_RETURN_IF_ERROR(oracle->Launch());
  return oracle;
}

absl::Status ContainerdOracle::Launch() {
  // In a namespace of the test's own, so that no mount outlives it, however it ends; on a tmpfs,
  // since containerd's databases sync a lot.
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, nullptr) != 0) {
    return base::ErrnoError(errno, "mount a tmpfs");
  }
  mounted_ = true;
  const std::string config = dir_.path() + "/config.toml";
  std::ofstream(config) << fmt::format(fmt::runtime(kConfig), dir_.path());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string log = dir_.path() + "/log";
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // It ends with this process, however that ends.
  std::vector<std::string> words = {"setpriv", "--pdeathsig", "KILL", program_, "--config", config};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error = ::posix_spawnp(&pid_, "setpriv", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return base::ErrnoError(error, program_);

  const auto channel = rpc::MakeChannel("unix:" + dir_.path() + "/socket");
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(30))) {
    std::string text;
    std::getline(std::ifstream(log), text, '\0');
    return absl::UnavailableError(fmt::format("{} does not start: {}", program_, text));
  }
  stubs_ = std::make_unique<Stubs>(channel);
  return absl::OkStatus();
}

ContainerdOracle::~ContainerdOracle() {
  stubs_.reset();
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
}

absl::Status ContainerdOracle::Upload(const std::string& blob, const std::string& digest) {
  grpc::ClientContext context;
  Prepare(&context);
  const auto stream = stubs_->content->Write(&context);
  constexpr std::size_t kPart = std::size_t{4} << 20;
  content::WriteContentRequest request;
  request.set_ref(digest);
  content::WriteContentResponse response;
  for (std::size_t at = 0; at < blob.size(); at += kPart) {
    request.set_action(content::WRITE);
    request.set_offset(static_cast<std::int64_t>(at));
    request.set_data(blob.substr(at, kPart));
    if (!stream->Write(request) || !stream->Read(&response)) break;
  }
  request.clear_data();
  request.set_action(content::COMMIT);
  request.set_offset(static_cast<std::int64_t>(blob.size()));
  request.set_total(static_cast<std::int64_t>(blob.size()));
  request.set_expected(digest);
  (*request.mutable_labels())["containerd.io/gc.root"] = "test";
  stream->Write(request);
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS) return absl::OkStatus();
  return rpc::FromGrpc(status);
}

absl::StatusOr<ApplyResult> ContainerdOracle::Apply(const std::string& blob,
                                                    const std::string& media_type,
                                                    const std::vector<Mount>& mounts) {
  const std::string digest = base::Digest::Of(blob).str();
  EAGLE_RETURN_IF_ERROR(base::Annotate(Upload(blob, digest), "upload"));
  return ApplyStored(digest, blob.size(), media_type, mounts);
}

absl::StatusOr<ApplyResult> ContainerdOracle::ApplyStored(const std::string& digest,
                                                          std::size_t size_bytes,
                                                          const std::string& media_type,
                                                          const std::vector<Mount>& mounts) {
  diff::ApplyRequest request;
  request.mutable_diff()->set_media_type(media_type);
  request.mutable_diff()->set_digest(digest);
  request.mutable_diff()->set_size(static_cast<std::int64_t>(size_bytes));
  for (const Mount& from : mounts) {
    containerd::types::Mount& mount = *request.add_mounts();
    mount.set_type(from.type);
    mount.set_source(from.source);
    for (const std::string& option : from.options) mount.add_options(option);
  }
  grpc::ClientContext context;
  Prepare(&context);
  diff::ApplyResponse response;
  EAGLE_RETURN_IF_ERROR(rpc::FromGrpc(stubs_->diff->Apply(&context, request, &response)));
  ApplyResult result;
  EAGLE_ASSIGN_OR_RETURN(result.digest, base::Digest::Parse(response.applied().digest()));
  result.size_bytes = response.applied().size();
  return result;
}

}  // namespace eagle::apply::testing
