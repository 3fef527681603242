// Unpacks one blob by Eagle and by containerd in turn, and prints a line of JSON for each:
//
//   eagle-e2e-apply BLOB FOLDER [RUNS]
//
// FOLDER should be on a fresh journalled ext4: without a journal, files that are made soon after
// many were deleted cost a multiple. The blob is in the page cache for both, containerd has it in
// its own store, and each unpacks into an empty overlay with the disk at rest.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <vector>

#include "lib/base/file.h"
#include "plugin/apply/apply_worker.h"
#include "plugin/apply/testing/containerd_oracle.h"
#include "plugin/apply/worker_client.h"

namespace {

using namespace eagle::apply;
namespace fs = std::filesystem;

constexpr char kMediaType[] = "application/vnd.docker.image.rootfs.diff.tar";
constexpr std::int64_t kMaxBlobBytes = std::int64_t{4} << 30;

std::vector<Mount> FreshOverlay(const std::string& folder) {
  for (const char* name : {"/upper", "/work", "/lower"}) {
    fs::remove_all(folder + name);
    fs::create_directories(folder + name);
  }
  ::sync();
  return {{"overlay",
           "overlay",
           "",
           {"upperdir=" + folder + "/upper", "workdir=" + folder + "/work",
            "lowerdir=" + folder + "/lower"}}};
}

/// User and system time of this process' children that have ended: Eagle's workers.
double WorkerSeconds() {
  struct rusage usage {};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto micros = std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  return std::chrono::duration<double>(micros).count();
}

double ProcessSeconds(pid_t pid) {
  clockid_t clock{};
  struct timespec spent {};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &spent) != 0) return 0;
  return std::chrono::duration<double>(std::chrono::seconds(spent.tv_sec) +
                                       std::chrono::nanoseconds(spent.tv_nsec))
      .count();
}

using CpuClock = std::function<double()>;
using ApplyOnce = std::function<absl::StatusOr<ApplyResult>(const std::vector<Mount>&)>;

absl::StatusOr<ApplyResult> Measure(std::string_view name, const std::string& folder,
                                    const CpuClock& cpu, const ApplyOnce& apply) {
  const std::vector<Mount> mounts = FreshOverlay(folder);
  const double cpu_before = cpu();
  const auto start = std::chrono::steady_clock::now();
  auto result = apply(mounts);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  if (!result.ok()) return eagle::base::Annotate(result.status(), name);
  fmt::print(
      "{{\"applier\": \"{}\", \"seconds\": {:.4f}, \"cpu_seconds\": {:.3f}, "
      "\"plain_bytes\": {}}}\n",
      name, spent.count(), cpu() - cpu_before, result->size_bytes);
  return result;
}

absl::Status Bench(const std::string& blob, const std::string& folder, int runs) {
  EAGLE_ASSIGN_OR_RETURN(const eagle::base::UniqueFd file,
                         eagle::base::OpenFile(blob, O_RDONLY | O_CLOEXEC));
  EAGLE_ASSIGN_OR_RETURN(const std::string content, eagle::base::ReadFile(blob, kMaxBlobBytes));
  EAGLE_ASSIGN_OR_RETURN(const auto oracle, testing::ContainerdOracle::Start());
  const std::string digest = eagle::base::Digest::Of(content).str();
  const std::size_t size = content.size();
  const Cancellation cancellation;
  WorkerClient worker({});
  // Outside of the clock: the blob must be in its store first, which the first call does.
  EAGLE_RETURN_IF_ERROR(oracle->Apply(content, kMediaType, FreshOverlay(folder)).status());
  const CpuClock theirs_cpu = [&] { return ProcessSeconds(oracle->pid()); };
  for (int run = 0; run < runs; ++run) {
    EAGLE_ASSIGN_OR_RETURN(
        const ApplyResult ours,
        Measure("eagle", folder, WorkerSeconds, [&](const std::vector<Mount>& mounts) {
          return worker.Apply({.mounts = mounts}, file.get(), cancellation);
        }));
    EAGLE_ASSIGN_OR_RETURN(
        const ApplyResult theirs,
        Measure("containerd", folder, theirs_cpu, [&](const std::vector<Mount>& mounts) {
          return oracle->ApplyStored(digest, size, kMediaType, mounts);
        }));
    if (ours.digest != theirs.digest) return absl::InternalError("the results differ");
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto exit_code = RunApplyWorker(argc, argv)) return *exit_code;
  if (argc < 3) {
    fmt::print(stderr, "usage: eagle-e2e-apply BLOB FOLDER [RUNS]\n");
    return 2;
  }
  const absl::Status status =
      Bench(argv[1], argv[2], argc > 3 ? std::max(1, std::atoi(argv[3])) : 3);
  if (!status.ok()) fmt::print(stderr, "{}\n", eagle::base::Message(status));
  return status.ok() ? 0 : 1;
}
