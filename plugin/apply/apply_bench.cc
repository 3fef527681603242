// Unpacks one blob again and again and says how long it took, here and, when told to, by
// containerd:
//
//   apply_bench BLOB FOLDER [RUNS [containerd]]
//
// FOLDER should be on a fresh journalled ext4: without a journal, files that are made soon after
// many were deleted cost a multiple. The best of the runs counts on a machine that does other
// things too.
#include <fcntl.h>
#include <fmt/format.h>
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

using ApplyOnce = std::function<absl::StatusOr<ApplyResult>(const std::vector<Mount>&)>;

int Measure(std::string_view name, const std::string& folder, int runs, const ApplyOnce& apply) {
  std::vector<double> seconds;
  for (int run = 0; run < runs; ++run) {
    const std::vector<Mount> mounts = FreshOverlay(folder);
    const auto start = std::chrono::steady_clock::now();
    const auto result = apply(mounts);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (!result.ok()) {
      fmt::print(stderr, "{}: {}\n", name, eagle::base::Message(result.status()));
      return 1;
    }
    fmt::print("{}: run {} {:.3f} s, {} bytes, {}\n", name, run + 1, spent.count(),
               result->size_bytes, result->digest.str());
    seconds.push_back(spent.count());
  }
  std::sort(seconds.begin(), seconds.end());
  fmt::print("{}: best {:.3f} s, median {:.3f} s\n", name, seconds.front(),
             seconds[seconds.size() / 2]);
  return 0;
}

int Bench(const std::string& blob, const std::string& folder, int runs, bool containerd) {
  const auto file = eagle::base::OpenFile(blob, O_RDONLY);
  const auto content = eagle::base::ReadFile(blob, std::int64_t{4} << 30);
  if (!file.ok() || !content.ok()) {
    fmt::print(stderr, "{}\n", eagle::base::Message(file.ok() ? content.status() : file.status()));
    return 1;
  }
  const Cancellation cancellation;
  WorkerClient worker({});
  int failed = Measure("eagle", folder, runs, [&](const std::vector<Mount>& mounts) {
    return worker.Apply({.mounts = mounts}, file->get(), cancellation);
  });
  if (!containerd) return failed;
  const auto oracle = testing::ContainerdOracle::Start();
  if (!oracle.ok()) {
    fmt::print(stderr, "{}\n", eagle::base::Message(oracle.status()));
    return 1;
  }
  const std::string digest = eagle::base::Digest::Of(*content).str();
  // Outside of the clock: the blob must be in its store first, which the first call does.
  (void)(*oracle)->Apply(*content, kMediaType, FreshOverlay(folder));
  failed += Measure((*oracle)->program(), folder, runs, [&](const std::vector<Mount>& mounts) {
    return (*oracle)->ApplyStored(digest, content->size(), kMediaType, mounts);
  });
  return failed;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto exit_code = RunApplyWorker(argc, argv)) return *exit_code;
  if (argc < 3) {
    fmt::print(stderr, "usage: apply_bench BLOB FOLDER [RUNS [containerd]]\n");
    return 2;
  }
  const int runs = argc > 3 ? std::max(1, std::atoi(argv[3])) : 3;
  return Bench(argv[1], argv[2], runs, argc > 4);
}
